package dataset

import (
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset/rule"
)

// judgeRules evaluates the cross-field rules on the chunk. A rule that reads a column that the file lacks is not judged;
// the header's finding tells.
func (w *worker) judgeRules() {
	if len(w.plan.rules) == 0 {
		return
	}
	for i, v := range w.own {
		if v != nil && i < w.plan.judged {
			w.ruleInput[i] = rule.Column{Numbers: v.numbers[:w.rows], Data: w.block.Data, Start: v.start[:w.rows], End: v.end[:w.rows]}
		}
	}
	for i, r := range w.plan.rules {
		if !w.plan.has(r.columns...) {
			continue
		}
		var unknown int
		w.broken, unknown = w.evaluators[i].Broken(w.ruleInput, w.rows, w.broken[:0])
		w.unknown[i] += int64(unknown)
		for _, row := range w.broken {
			if w.part.findings.count(RuleRule, r.Name) {
				w.addBroken(r, int(row))
			}
		}
	}
}

func (w *worker) addBroken(r *rowRule, row int) {
	found := w.found(RuleRule, row)
	found.Column = r.Name
	var values []string
	for _, c := range r.columns {
		if c.index < w.block.Cells(w.from+row) {
			values = append(values, c.field.Name+"="+shown(w.block.Cell(w.from+row, c.index)))
		}
	}
	found.Value = shown([]byte(strings.Join(values, ", ")))
	found.Message = found.Value + " breaks " + shown([]byte(r.Expression))
	found.Help = r.Description
	if found.Help == "" {
		found.Help = "correct the values, or the rule in the contract"
	}
	w.part.findings.add(found)
}

// judgeRules tells of rules that judged nothing: they would pass unseen.
func (f *file) judgeRules() {
	for i, r := range f.plan.rules {
		if !f.plan.has(r.columns...) || f.records == 0 {
			continue
		}
		var unknown int64
		for _, w := range f.workers {
			unknown += w.unknown[i]
		}
		switch {
		case unknown == f.records:
			f.findings.say(Finding{
				Rule: RuleRule, Column: r.Name, Message: "no row has all the values that the rule reads, so that it judged nothing",
				Help: "see why they are missing, or take the rule out of the contract",
			})
		case unknown > 0:
			f.note(fmt.Sprintf("rule %s: %d of %d rows are not judged, since a value that it reads is missing", r.Name, unknown, f.records))
		}
	}
}
