package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
)

// judgeDrift compares the columns with the baseline. That there is none is a finding, so that the profile, from which
// one can be made, is there nevertheless.
func (f *file) judgeDrift() error {
	drift := f.contract.Quality.Drift
	if drift == nil || f.records == 0 {
		return nil
	}
	baseline, err := profile.Load(filepath.Join(f.options.Root, filepath.FromSlash(drift.Baseline)))
	if errors.Is(err, fs.ErrNotExist) {
		f.findings.say(Finding{
			Rule: RuleDrift, Message: "there is no baseline " + drift.Baseline + " to compare with",
			Help: "write one with mage data:baseline, and look at it before it is committed",
		})
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range drift.Fields {
		c := f.plan.column(name)
		if c == nil || !f.plan.has(c) {
			continue
		}
		today := f.result.Profile.Column(name)
		compared := profile.Compare(today, baseline.Column(name), drift.PSI, drift.KS)
		f.judgeDistance(c, "psi", "population stability index", compared.PSI)
		if today.Kind == profile.Text { // texts have no order, which the other distance is about
			continue
		}
		f.judgeDistance(c, "ks", "Kolmogorov-Smirnov distance", compared.KS)
	}
	return nil
}

func (f *file) judgeDistance(c *column, name, long string, d profile.Distance) {
	if !d.Compared {
		f.note(fmt.Sprintf("%s: %s is not judged: %s", c.field.Name, long, d.Reason))
		return
	}
	f.measure(Measure{Name: name, Column: c.field.Name, Value: d.Value, Limit: d.Limit})
	if d.Drifted {
		f.findings.say(Finding{
			Rule: RuleDrift, Column: c.field.Name, Field: c.index + 1,
			Message: fmt.Sprintf("the %s from the baseline is %.3g, at most %.3g is allowed", long, d.Value, d.Limit),
			Help:    "compare both histograms in the report; if the change is meant, write the baseline anew with mage data:baseline",
		})
	}
}
