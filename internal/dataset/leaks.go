package dataset

import (
	"fmt"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/leak"
)

// A leakSpec is the target and the features that could give it away.
type leakSpec struct {
	columns []*column // the target last
	limit   float64
}

func (f *file) openLeak() error {
	l := f.contract.Quality.Leak
	if l == nil {
		return nil
	}
	columns, err := f.plan.find("quality.leak", append(slices.Clone(l.Features), l.Target))
	if err != nil {
		return err
	}
	target := columns[len(columns)-1]
	columns = slices.DeleteFunc(columns, func(c *column) bool { return !f.plan.has(c) })
	if !f.plan.has(target) || len(columns) < 2 {
		return nil
	}
	for _, c := range columns {
		f.plan.needed[c.index] = true
	}
	f.plan.leak = &leakSpec{columns: columns, limit: l.Determination}
	return nil
}

// A leakWriter is a worker's sample.
type leakWriter struct {
	sample *leak.Sample
	values [][]float64
}

func newLeakWriter(l *leakSpec) *leakWriter {
	if l == nil {
		return nil
	}
	return &leakWriter{leak.NewSample(len(l.columns), len(l.columns)-1), make([][]float64, len(l.columns))}
}

func (w *worker) sampleLeak() {
	if w.leak == nil {
		return
	}
	for i, c := range w.plan.leak.columns {
		w.leak.values[i] = w.own[c.index].numbers[:w.rows]
	}
	w.leak.sample.Add(w.leak.values)
}

// judgeLeak looks for features that determine the target.
func (f *file) judgeLeak() {
	l := f.plan.leak
	if l == nil || f.records == 0 {
		return
	}
	sample := f.workers[0].leak.sample
	for _, w := range f.workers[1:] {
		sample.Merge(w.leak.sample)
	}
	names := make([]string, len(l.columns))
	for i, c := range l.columns {
		names[i] = c.field.Name
	}
	target := names[len(names)-1]
	report := leak.Find(sample, names, l.limit)
	if report.Reason != "" {
		f.note(fmt.Sprintf("%s: leaks are not looked for: %s", target, report.Reason))
		return
	}
	for _, s := range report.Skipped {
		f.note(fmt.Sprintf("%s: is not looked at as a leak of %s: %s", names[s.Field], target, s.Reason))
	}
	f.measure(Measure{Name: "determination", Column: report.Strongest.Expression, Value: report.Strongest.Determination, Limit: l.limit})
	for _, found := range report.Leaks {
		position := 0
		if len(found.Fields) == 1 {
			position = l.columns[found.Fields[0]].index + 1
		}
		f.findings.say(Finding{
			Rule: RuleLeak, Column: found.Expression, Field: position,
			Message: fmt.Sprintf("%s determines the target %s", found, target),
			Help:    "take the feature out, use its value of an earlier time, or exclude it with the reason under quality.leak.exclude",
		})
	}
}
