package evidence

import (
	"regexp"
	"slices"
	"time"

	vulns "github.com/in-toto/attestation/go/predicates/vulns/v02"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// scanner is the program behind a step that looks for known vulnerabilities, empty if the step does something else.
func scanner(stage, step string) string {
	switch stage + ":" + step {
	case "security:safety", "image:packages": // of the requirements, and of what is in the images
		return "pkg:pypi/safety"
	default:
		return ""
	}
}

// databaseDate is what the scanning steps say of their database: "… of 2024-10-10, 774 days old".
var databaseDate = regexp.MustCompile(` of (\d{4}-\d{2}-\d{2}), -?\d+ days old`)

// scanStatement is what a scan for vulnerabilities found; nil if the step is none, or looked at nothing.
func scanStatement(stage Stage, at int, step engine.StepResult, subjects []*intoto.ResourceDescriptor) (*Statement, error) {
	uri := scanner(stage.Stage, step.Name)
	if uri == "" || step.Status == engine.StatusSkipped || step.Status == engine.StatusError {
		return nil, nil // no statement, and no mistake either
	}
	made := stage.Steps[at]
	predicate := &vulns.Vulns{
		Scanner: &vulns.Scanner{Uri: uri, Db: database(step.Judgement)},
		Metadata: &vulns.ScanMetadata{
			ScanStartedOn: timestamppb.New(made.Started), ScanFinishedOn: timestamppb.New(made.Finished),
		},
	}
	for _, finding := range step.Judgement.Findings {
		predicate.Scanner.Result = append(predicate.Scanner.Result, &vulns.Result{
			Id:       finding.Rule,
			Severity: []*vulns.Result_Severity{{Method: extension, Score: severities()[finding.Severity]}},
		})
	}
	stage.Steps = slices.Clone(stage.Steps[at : at+1])
	fields, err := withStage(predicate, stage)
	if err != nil {
		return nil, err
	}
	// None found is an empty list, which is said, and which protojson leaves out.
	found := fields.GetFields()["scanner"].GetStructValue()
	if _, ok := found.GetFields()["result"]; !ok {
		found.Fields["result"] = structpb.NewListValue(&structpb.ListValue{})
	}
	return newStatement(stage.Stage+"-"+step.Name, VulnsType, subjects, fields)
}

// database is as old as the oldest that is named; without a date, a policy that asks for one is not met.
func database(j engine.Judgement) *vulns.VulnDatabase {
	db := &vulns.VulnDatabase{}
	for _, said := range slices.Concat(j.Notes, j.Warnings) {
		m := databaseDate.FindStringSubmatch(said)
		if m == nil {
			continue
		}
		made, err := time.Parse(time.DateOnly, m[1])
		if err == nil && (db.LastUpdate == nil || made.Before(db.GetLastUpdate().AsTime())) {
			db.LastUpdate = timestamppb.New(made)
		}
	}
	return db
}
