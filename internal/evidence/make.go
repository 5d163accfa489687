package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	testresult "github.com/in-toto/attestation/go/predicates/test_result/v0"
	intoto "github.com/in-toto/attestation/go/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// A Source is what a run's statements are made from.
type Source struct {
	Run    *engine.Run
	Tree   string           // git's hash of the source tree, hexadecimal
	Place  Place            // where and by whom
	Images *handover.Images // that were built from this tree; nil: there are none
	Model  string           // digest of the model that the run trained, "sha256:…"; empty: none
}

// Statements are all that a run's record proves, in the order of its stages, with a line for each thing that it does
// not. A run of a tree that differs from its commit proves nothing, since nobody could look at that tree again.
func Statements(source Source) (made []*Statement, notes []string, err error) {
	run := source.Run
	switch {
	case run.Commit == "" || source.Tree == "":
		return nil, []string{"no evidence was made: this is no commit of a git repository: commit first"}, nil
	case run.Dirty:
		return nil, []string{"no evidence was made: the work tree differs from its commit, so nobody could look at what was judged: commit first"}, nil
	}
	for _, result := range run.Stages {
		result = judged(result)
		if !evident(result.Name) || len(result.Steps) == 0 || (result.Name == imageStage && source.Images == nil) {
			continue // it judges nothing, or nothing that anybody could name
		}
		if skipped(result) {
			notes = append(notes, fmt.Sprintf("no evidence of %s: all of it was skipped", result.Name))
			continue
		}
		more, note, err := source.ofStage(result)
		if err != nil {
			return nil, nil, err
		}
		made = append(made, more...)
		if note != "" {
			notes = append(notes, note)
		}
	}
	return made, notes, nil
}

// evident are the stages of the documentation, but not the last, which judges nothing.
func evident(stage string) bool {
	return stage != "notify" && slices.Contains(config.StageNames(), stage)
}

// OfTree reports whether a stage judges the source tree, and not what was built of it.
func OfTree(stage string) bool {
	return slices.Contains([]string{"quality", "security", "unit", "data"}, stage)
}

const imageStage = "image"

// judged leaves out what only delivers: that a registry was away says nothing of the image.
func judged(result engine.StageResult) engine.StageResult {
	if result.Name != imageStage {
		return result
	}
	result.Steps = slices.DeleteFunc(slices.Clone(result.Steps), func(s engine.StepResult) bool { return slices.Contains([]string{"push", "promote", "tag"}, s.Name) })
	result.Status = engine.StatusPassed
	for _, s := range result.Steps {
		if s.Status == engine.StatusError || (s.Status == engine.StatusFailed && result.Status == engine.StatusPassed) {
			result.Status = s.Status
		}
	}
	return result
}

func skipped(result engine.StageResult) bool {
	return !slices.ContainsFunc(result.Steps, func(s engine.StepResult) bool { return s.Status != engine.StatusSkipped })
}

// ofStage is the stage's verdict, and beside it each scan for vulnerabilities that it ran, in the predicate of its own
// that other programs look for.
func (source Source) ofStage(result engine.StageResult) (made []*Statement, note string, err error) {
	model := ""
	if usesModel(result.Name) {
		model = source.Model
	}
	stage := stageOf(source.Run, result, model, source.Place)
	subjects, note := source.subjects(result.Name)
	verdict, err := source.verdict(stage, subjects)
	if err != nil {
		return nil, "", err
	}
	made = append(made, verdict)
	for i, step := range result.Steps {
		scan, err := scanStatement(stage, i, step, subjects)
		if err != nil {
			return nil, "", err
		}
		if scan != nil {
			made = append(made, scan)
		}
	}
	return made, note, nil
}

// usesModel are the stages whose verdict is about a model, too.
func usesModel(stage string) bool { return stage == "integration" || stage == "benchmark" }

// subjects are what the stage judged. What has no images yet can speak of its tree only, which a policy tells apart.
func (source Source) subjects(stage string) ([]*intoto.ResourceDescriptor, string) {
	tree := []*intoto.ResourceDescriptor{{Name: "source tree", Digest: map[string]string{gitTree: source.Tree}}}
	if OfTree(stage) {
		return tree, ""
	}
	images := source.Images
	switch {
	case images == nil || len(images.Images) == 0:
		return tree, fmt.Sprintf("the evidence of %s is about the source tree: no image was built in this run", stage)
	case images.Dirty || strings.TrimPrefix(images.Tree, gitTree+":") != source.Tree:
		return tree, fmt.Sprintf("the evidence of %s is about the source tree: the images are of another one", stage)
	}
	var subjects []*intoto.ResourceDescriptor
	for _, image := range images.Images {
		subjects = append(subjects, imageSubject(image))
	}
	return subjects, ""
}

func imageSubject(image handover.Image) *intoto.ResourceDescriptor {
	return &intoto.ResourceDescriptor{
		Name: image.Repository, Digest: map[string]string{sha256sum: strings.TrimPrefix(image.Digest, "sha256:")},
	}
}

// Results of the test-result predicate.
const (
	resultPassed = "PASSED"
	resultWarned = "WARNED"
	resultFailed = "FAILED"
)

// verdict is a stage as a test-result: its steps are the tests.
func (source Source) verdict(stage Stage, subjects []*intoto.ResourceDescriptor) (*Statement, error) {
	settings, err := settings(source.Run.Root)
	if err != nil {
		return nil, fmt.Errorf("make statement %s: %w", stage.Stage, err)
	}
	result := testResult(stage)
	result.Configuration = []*intoto.ResourceDescriptor{settings}
	result.Url = stage.Place.URL
	predicate, err := withStage(result, stage)
	if err != nil {
		return nil, fmt.Errorf("make statement %s: %w", stage.Stage, err)
	}
	return newStatement(stage.Stage, TestResultType, subjects, predicate)
}

// testResult says the same as the stage in the words of the standard; a reader holds one against the other.
func testResult(stage Stage) *testresult.TestResult {
	r := &testresult.TestResult{Result: resultPassed}
	for _, step := range stage.Steps {
		id := stage.Stage + ":" + step.Name
		switch {
		case step.Status == string(engine.StatusSkipped):
			r.Result = max(r.Result, resultWarned) // W comes after P
		case step.Status != string(engine.StatusPassed):
			r.FailedTests = append(r.FailedTests, id)
		case len(step.Warnings) > 0:
			r.Result = max(r.Result, resultWarned)
			r.WarnedTests = append(r.WarnedTests, id)
		default:
			r.PassedTests = append(r.PassedTests, id)
		}
	}
	if stage.bad() {
		r.Result = resultFailed
	}
	return r
}

// settings are the file that said what to run and which thresholds to hold.
func settings(root string) (*intoto.ResourceDescriptor, error) {
	content, err := os.ReadFile(filepath.Join(root, config.FileName))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	sum := sha256.Sum256(content) // of nothing, if there are only the defaults
	return &intoto.ResourceDescriptor{Name: config.FileName, Digest: map[string]string{sha256sum: hex.EncodeToString(sum[:])}}, nil
}
