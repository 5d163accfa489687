package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

// hours bounds the trials of deploys: with all of them they take more than one.
const hours = 3 * time.Hour

// recordStep says loudly when what the trials of deploys have shown is of another tree than this. It fails nothing: they
// take an hour of a machine that does nothing else, which no push can wait for.
func recordStep() engine.Step {
	return engine.Step{
		Name: "deploys", Judges: "whether the trials of deploys are of this tree", Rerun: "mage test:deploys",
		Inputs: []string{record.File, "docker", "internal", "scripts", "src"},
		Func: func(_ context.Context, scope engine.Scope) (engine.Judgement, error) {
			j := engine.Judgement{Judged: 1, Unit: "record"}
			kept, err := record.Read(scope.Root)
			if err != nil {
				return j, err
			}
			tree, err := record.Tree(scope.Root)
			if err != nil {
				return j, err
			}
			if stale := kept.Stale(tree); stale != "" {
				j.Warnings = []string{stale + ": run `mage test:deploys` on a machine that does nothing else, and commit " + record.File + " and " + record.Page}
			} else {
				j.Notes = []string{fmt.Sprintf("all %d trials of deploys passed on this tree", len(kept.Trials))}
			}
			return j, nil
		},
	}
}

// Deploys runs the trials of deploys, with the images that steps before it have built.
type Deploys struct{ After []string }

// Name of the stage.
func (Deploys) Name() string { return "deploys" }

// Steps of the stage.
func (d Deploys) Steps(*config.Project) ([]engine.Step, error) {
	return []engine.Step{{
		Name: "trials", Judges: "deploys under load, faults and kills", Rerun: "mage test:deploys", Timeout: hours, Alone: true, After: d.After,
		Needs: []engine.Need{engine.NeedEngine},
		Command: &engine.Command{
			Program: "go",
			Args: []string{
				"run", "./internal/rollout/trial/trials", "-artifacts", engine.ArtifactsDir, "-report", engine.ArtifactsDir + "/deploys.json",
			},
			Reports:  map[string]string{"deploys": "deploys.json"},
			Progress: trialProgress, Parse: parseTrials,
		},
	}}, nil
}

var trialBegins = regexp.MustCompile(`^\d\d:\d\d:\d\d  (\d+) of (\d+)  `)

func trialProgress(line string) (done, total int, ok bool) {
	match := trialBegins.FindStringSubmatch(line)
	if match == nil {
		return 0, 0, false
	}
	done, _ = strconv.Atoi(match[1]) // digits, by the expression
	total, _ = strconv.Atoi(match[2])
	return done - 1, total, true
}

// parseTrials makes a finding of each trial that did not pass.
func parseTrials(out engine.Output) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "trials"}
	if out.ExitCode != 0 && out.ExitCode != 1 {
		return j, fmt.Errorf("the trials could not be run (exit code %d): %s", out.ExitCode, lastLine(out.Stderr))
	}
	content, err := out.Report("deploys")
	if err != nil {
		return j, err
	}
	var shown record.Record
	if err := json.Unmarshal(content, &shown); err != nil {
		return j, fmt.Errorf("read report of the trials: %w", err)
	}
	table := engine.Table{Title: "Trials of deploys", Columns: []string{"trial", "outcome", "seconds"}}
	for _, t := range shown.Trials {
		j.Judged++
		outcome := t.Outcome
		if t.Problem != "" {
			outcome = "not passed"
			j.Findings = append(j.Findings, engine.Finding{
				Rule: "deploys", Message: t.Part + "/" + t.Name + ": " + t.Problem,
				Help: fmt.Sprintf("rerun it: go run ./internal/rollout/trial/trials -only=%q", t.Part+"/"+t.Name),
			})
		}
		table.Rows = append(table.Rows, []string{t.Part + "/" + t.Name, outcome, strconv.FormatFloat(t.Seconds, 'f', 0, 64)})
	}
	j.Tables = []engine.Table{table}
	if out.ExitCode == 1 && len(j.Findings) == 0 {
		return j, fmt.Errorf("the trials ended with exit code 1, and none of them says why: %s", lastLine(out.Stderr))
	}
	return j, nil
}
