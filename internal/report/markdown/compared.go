package markdown

import (
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// A measured is one number, and where it comes from.
type measured struct {
	stage, step string
	engine.Metric
}

// compared are the numbers that a reviewer wants beside those of the base: whatever has a threshold, all that is known of
// the models, and how many tests there are.
func compared(told map[string]Told) []measured {
	targets := make([]string, 0, len(told))
	for target := range told {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	var all []measured
	for _, target := range targets {
		for _, stage := range told[target].Stages {
			for _, step := range stage.Steps {
				for _, m := range step.Metrics {
					model := stage.Name == "integration" && step.Name == "quality"
					if m.Value == nil || m.Direction == engine.DirectionNone && !model && m.Name != "tests_passed" {
						continue
					}
					all = append(all, measured{stage.Name, step.Name, engine.Metric{Name: m.Name, Value: *m.Value, Unit: m.Unit, Direction: m.Direction}})
				}
			}
		}
	}
	return all
}

// compare is a table of this run's numbers and the base's.
func (c Comment) compare(p *page) {
	here, base := compared(c.Here), compared(c.Base)
	if len(here) == 0 {
		return
	}
	title := "Numbers"
	if c.Branch != "" {
		title += " against " + inline(c.Branch)
	}
	p.printf("\n### %s\n\n", title)
	if c.Branch == "" {
		p.printf("Nothing to compare with: %s.\n\n", inline(c.Why))
	}
	p.printf("| | base | here | change |\n|---|--:|--:|--:|\n")
	for _, m := range here[:min(len(here), maxMetrics)] {
		before, change := "", ""
		at := slices.IndexFunc(base, func(b measured) bool {
			return b.stage == m.stage && b.step == m.step && b.Name == m.Name && b.Unit == m.Unit
		})
		if at >= 0 {
			before, change = report.Number(base[at].Value, m.Unit), changed(base[at].Value, m.Metric)
		}
		p.printf("| %s %s | %s | %s | %s |\n", inline(m.stage+"/"+m.step), inline(report.Label(m.Metric)), before, report.Number(m.Value, m.Unit), change)
	}
	if len(here) > maxMetrics {
		p.printf("\n%d of %d numbers are shown.\n", maxMetrics, len(here))
	}
}

// changed says by how much, and which way is better where that is known. It claims no significance: one run is one sample.
func changed(before float64, m engine.Metric) string {
	by := m.Value - before
	if by == 0 {
		return "="
	}
	text := report.Number(by, m.Unit)
	if strings.HasPrefix(text, "0") && strings.Trim(text, "0. "+m.Unit) == "" || strings.HasPrefix(text, "-0 ") {
		return "≈"
	}
	if by > 0 {
		text = "+" + text
	}
	switch better := by > 0; {
	case m.Direction == engine.DirectionNone:
		return text
	case (m.Direction == engine.DirectionAtLeast) == better:
		return text + " better"
	}
	return text + " worse"
}
