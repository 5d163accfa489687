package evidence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// judge holds a stage's numbers against a policy. That the stage calls itself passed is the least of what is asked.
func judge(stage Stage, want config.EvidenceStage) []Missing {
	var missing []Missing
	miss := func(step, found, expected string) {
		what := stage.Stage
		if step != "" {
			what += ":" + step
		}
		missing = append(missing, Missing{What: what, Found: found, Expected: expected, Remedy: remedyOf(stage.Stage)})
	}
	if stage.Status != string(engine.StatusPassed) {
		miss("", "the verdict "+stage.Status, "passed")
	}
	for _, name := range want.Steps {
		step, ok := stage.Step(name)
		switch {
		case !ok:
			miss(name, "a run without this step", "that it ran and passed")
		case step.Status != string(engine.StatusPassed):
			miss(name, step.Status+because(step.Reason), "passed")
		case step.Judged <= 0:
			miss(name, fmt.Sprintf("%d %s judged", step.Judged, orThings(step.Unit)), "more than none")
		}
	}
	for _, step := range stage.Steps {
		judgeStep(step, want, miss)
	}
	judgeLimits(stage, want, miss)
	return missing
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func orThings(unit string) string {
	if unit == "" {
		return "things"
	}
	return unit
}

// judgeStep looks at every step that ran, also at those that nobody requires: what failed has failed.
func judgeStep(step Step, want config.EvidenceStage, miss func(step, found, expected string)) {
	required := slices.Contains(want.Steps, step.Name)
	switch step.Status {
	case string(engine.StatusSkipped):
		return
	case string(engine.StatusPassed):
	default:
		if !required {
			miss(step.Name, step.Status+because(step.Reason), "passed, or not run at all")
		}
		return
	}
	for _, metric := range step.Metrics {
		switch {
		case metric.Direction != "" && metric.Direction != string(engine.DirectionAtLeast) && metric.Direction != string(engine.DirectionAtMost):
			miss(step.Name, fmt.Sprintf("the metric %s with a threshold of the kind %q", metric.Name, metric.Direction), "at_least or at_most")
		case !metric.met():
			miss(step.Name, metric.text(), fmt.Sprintf("%s %v", words(metric.Direction), metric.Threshold))
		case metric.Name == "tests_failed" && metric.Value != 0:
			miss(step.Name, metric.text(), "no failed test")
		}
	}
	if want.Clean != "" {
		if n := step.atLeast(want.Clean); n > 0 {
			miss(step.Name, fmt.Sprintf("%d findings of severity %s or above, or of none", n, want.Clean), "no such finding")
		}
	}
	if !want.Warnings && required && len(step.Warnings) > 0 {
		miss(step.Name, "a warning: "+step.Warnings[0], "none")
	}
}

func (m Metric) text() string {
	unit := m.Unit
	if unit == m.Name { // rows 10080
		unit = ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", m.Name, strconv.FormatFloat(m.Value, 'f', -1, 64), unit))
}

func words(direction string) string { return strings.ReplaceAll(direction, "_", " ") }

// judgeLimits holds the policy's own thresholds against the numbers, wherever in the stage they stand. A number that is
// not there meets none.
func judgeLimits(stage Stage, want config.EvidenceStage, miss func(step, found, expected string)) {
	for _, side := range []struct {
		limits    map[string]float64
		direction engine.Direction
	}{{want.Minimum, engine.DirectionAtLeast}, {want.Maximum, engine.DirectionAtMost}} {
		for _, key := range slices.Sorted(maps.Keys(side.limits)) {
			limit, found := side.limits[key], 0
			stepName, name, qualified := strings.Cut(key, ".")
			if !qualified {
				stepName, name = "", key
			}
			for _, step := range stage.Steps {
				if step.Status == string(engine.StatusSkipped) || (qualified && step.Name != stepName) {
					continue
				}
				for _, metric := range step.Metrics {
					if metric.Name != name {
						continue
					}
					found++
					if !(engine.Metric{Value: metric.Value, Threshold: limit, Direction: side.direction}).Met() {
						miss(step.Name, metric.text(), fmt.Sprintf("%s %v", words(string(side.direction)), limit))
					}
				}
			}
			if found == 0 {
				miss(stepName, "no metric "+name, fmt.Sprintf("%s %v", words(string(side.direction)), limit))
			}
		}
	}
}
