package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// reportDoc is what is used of report.json, whose shape docs/report.schema.json documents.
type reportDoc struct {
	SchemaVersion int      `json:"schema_version"`
	ID            string   `json:"id"`
	Target        string   `json:"target"`
	Status        string   `json:"status"`
	Exit          int      `json:"exit_code"`
	Started       string   `json:"started"`
	Seconds       float64  `json:"duration_seconds"`
	Commit        string   `json:"commit"`
	Branch        string   `json:"branch"`
	Dirty         bool     `json:"dirty"`
	Limit         int      `json:"limit"`
	Warnings      []string `json:"warnings"`
	Origin        struct {
		Author  string `json:"author"`
		Branch  string `json:"branch"`
		Builder string `json:"builder"`
		URL     string `json:"url"`
	} `json:"origin"`
	Stages []struct {
		Name    string    `json:"name"`
		Status  string    `json:"status"`
		Seconds float64   `json:"duration_seconds"`
		Steps   []stepDoc `json:"steps"`
	} `json:"stages"`
}

type stepDoc struct {
	Name     string  `json:"name"`
	Status   string  `json:"status"`
	Cached   bool    `json:"cached"`
	Reason   string  `json:"reason"`
	Started  string  `json:"started"`
	Seconds  float64 `json:"duration_seconds"`
	Findings []struct {
		Rule     string `json:"rule"`
		Severity string `json:"severity"`
		Message  string `json:"message"`
	} `json:"findings"`
	Allowed []json.RawMessage `json:"allowed"`
	Metrics []struct {
		Name      string   `json:"name"`
		Value     *float64 `json:"value"`
		Unit      string   `json:"unit"`
		Threshold *float64 `json:"threshold"`
		Direction string   `json:"direction"`
	} `json:"metrics"`
	Warnings []string `json:"warnings"`
}

// runID is what a run is called: only what this pipeline makes is taken for one.
var runID = regexp.MustCompile(`^\d{8}-\d{6}-[0-9a-f]{4,16}$`)

// fromReport turns a report.json into a line, by way of the engine's own record, so that a run looks the same whether it
// was remembered here or came in from elsewhere.
func fromReport(content []byte) (Run, error) {
	var doc reportDoc
	if err := json.Unmarshal(content, &doc); err != nil {
		return Run{}, fmt.Errorf("it is no report: %w", err)
	}
	started, err := time.Parse(time.RFC3339Nano, doc.Started)
	switch {
	case doc.SchemaVersion != 1:
		return Run{}, fmt.Errorf("it has schema version %d, and this program reads 1", doc.SchemaVersion)
	case !runID.MatchString(doc.ID):
		return Run{}, errors.New("its id is none that this pipeline gives")
	case err != nil:
		return Run{}, errors.New("it does not say when the run began")
	case !status(doc.Status):
		return Run{}, fmt.Errorf("its status is %q", text(doc.Status))
	case doc.Seconds < 0 || doc.Seconds > longest:
		return Run{}, errors.New("its duration is none")
	}
	run := &engine.Run{
		ID: doc.ID, Target: text(doc.Target), Status: engine.Status(doc.Status), ExitCode: doc.Exit, Started: started,
		Duration: duration(doc.Seconds), Commit: text(doc.Commit), Branch: text(doc.Branch), Dirty: doc.Dirty, Limit: doc.Limit,
		Warnings: doc.Warnings, Origin: engine.Origin{
			Author: text(doc.Origin.Author), Branch: text(doc.Origin.Branch), Builder: text(doc.Origin.Builder), URL: text(doc.Origin.URL),
		},
	}
	for _, s := range doc.Stages {
		stage := engine.StageResult{Name: text(s.Name), Status: engine.Status(text(s.Status)), Duration: duration(s.Seconds)}
		for _, step := range s.Steps {
			stage.Steps = append(stage.Steps, step.result())
		}
		run.Stages = append(run.Stages, stage)
	}
	line := Of(run)
	line.Cores = 0 // of the machine where it ran, which the report does not say
	line.Detail.Imported = true
	return line, nil
}

func status(s string) bool {
	switch engine.Status(s) {
	case engine.StatusPassed, engine.StatusFailed, engine.StatusError, engine.StatusSkipped:
		return true
	default:
		return false
	}
}

func duration(s float64) time.Duration {
	if s < 0 || s > longest {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func (s stepDoc) result() engine.StepResult {
	r := engine.StepResult{
		Name: text(s.Name), Status: engine.Status(text(s.Status)), Cached: s.Cached, Reason: text(s.Reason), Duration: duration(s.Seconds),
	}
	if started, err := time.Parse(time.RFC3339Nano, s.Started); err == nil {
		r.Started = started
	}
	j := &r.Judgement
	j.Warnings = s.Warnings
	j.Allowed = make([]engine.Allowed, len(s.Allowed))
	for _, m := range s.Metrics {
		if m.Value == nil {
			continue
		}
		metric := engine.Metric{Name: text(m.Name), Value: *m.Value, Unit: text(m.Unit), Direction: engine.Direction(text(m.Direction))}
		if m.Threshold != nil {
			metric.Threshold = *m.Threshold
		}
		j.Metrics = append(j.Metrics, metric)
	}
	for _, f := range s.Findings {
		j.Findings = append(j.Findings, engine.Finding{Rule: f.Rule, Severity: severityOf(f.Severity), Message: f.Message})
	}
	return r
}

func severityOf(word string) engine.Severity {
	for s := engine.SeverityNone; s <= engine.SeverityCritical; s++ {
		if severity(s) == word {
			return s
		}
	}
	return engine.SeverityNone
}
