package dataset

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
)

// judgeRows compares their number with the contract's.
func (f *file) judgeRows() {
	q := &f.contract.Quality
	least := max(q.MinRows, 1)
	f.measure(Measure{Name: "rows", Value: float64(f.records), Limit: float64(least), Least: true})
	if f.records < least {
		f.findings.say(Finding{
			Rule: RuleRows, Message: fmt.Sprintf("the file has %d rows, at least %d are asked for", f.records, least),
			Help: "see what should have written them",
		})
	}
	if q.MaxRows > 0 {
		f.measure(Measure{Name: "rows", Value: float64(f.records), Limit: float64(q.MaxRows)})
	}
	if q.MaxRows > 0 && f.records > q.MaxRows {
		f.findings.say(Finding{
			Rule: RuleRows, Message: fmt.Sprintf("the file has %d rows, at most %d are asked for", f.records, q.MaxRows),
			Help: "see whether rows were written twice, or raise the number in the contract",
		})
	}
}

// judgeColumns judges each column as a whole, and makes the profile.
func (f *file) judgeColumns() {
	f.result.Profile = &profile.Profile{Rows: f.records}
	for _, c := range f.plan.columns[:f.plan.judged] {
		t := f.total(c)
		if f.records > 0 {
			f.judgeNulls(c, t)
			f.judgeConstant(c, t)
			f.judgeShares(c, t)
			f.judgeFreshness(c, t)
		}
		f.result.Profile.Columns = append(f.result.Profile.Columns, t.profile.Summary(c.field.Name))
	}
}

// total of all workers.
func (f *file) total(c *column) *tally {
	for _, w := range f.workers {
		w.columns[c.index].flush()
	}
	sum := &f.workers[0].columns[c.index]
	for _, w := range f.workers[1:] {
		t := &w.columns[c.index]
		sum.profile.Merge(t.profile)
		sum.nulls += t.nulls
		sum.wrong += t.wrong
		sum.firstNull = min(sum.firstNull, t.firstNull)
		for i, n := range t.shares {
			sum.shares[i] += n
		}
		if t.latest > sum.latest || t.latest == sum.latest && t.latestOrder < sum.latestOrder {
			sum.latest, sum.latestOrder = t.latest, t.latestOrder
		}
	}
	return sum
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 4, 64) + " %" }

func (f *file) judgeNulls(c *column, t *tally) {
	limit, ok := f.contract.Quality.MaxNullShare[c.field.Name]
	if !ok {
		return
	}
	share := float64(t.nulls) / float64(f.records)
	f.measure(Measure{Name: "null_share", Column: c.field.Name, Value: share, Limit: limit})
	if share <= limit || !f.findings.count(RuleNulls, c.field.Name) {
		return
	}
	f.late = append(f.late, &late{
		number: f.number(t.firstNull), other: -1,
		Finding: Finding{
			Rule: RuleNulls, Column: c.field.Name, Field: c.index + 1,
			Message: fmt.Sprintf("%d of %d values are missing (%s), at most %s may be; this is the first row", t.nulls, f.records,
				percent(share), percent(limit)),
			Help: "see why they are missing, or raise the share in the contract",
		},
	})
}

func (f *file) judgeConstant(c *column, t *tally) {
	distinct, _ := t.profile.Distinct()
	// A value that is wrong is another one, too, and was told already.
	if distinct > 1 || t.wrong > 0 || f.records < 2 || slices.Contains(f.contract.Quality.Constant, c.field.Name) {
		return
	}
	message := "all values are the same"
	if present, _ := t.profile.Count(); present == 0 {
		message = "no row has a value"
	}
	f.findings.say(Finding{
		Rule: RuleConstant, Column: c.field.Name, Field: c.index + 1, Message: message,
		Help: "a column that never changes tells nothing: remove it, or list it under quality.constant",
	})
}

func (f *file) judgeShares(c *column, t *tally) {
	for i, n := range t.shares {
		s := &c.shares[i]
		share := float64(n) / float64(f.records)
		f.measure(Measure{Name: "value_share", Column: c.field.Name, Value: share, Limit: s.Share.Share})
		if share <= s.Share.Share {
			continue
		}
		f.findings.say(Finding{
			Rule: RuleShare, Column: c.field.Name, Field: c.index + 1, Value: shown(s.text),
			Message: fmt.Sprintf("%s of the values are %q, at most %s may be", percent(share), shown(s.text), percent(s.Share.Share)),
			Help:    "see why the value is so frequent, or raise the share in the contract",
		})
	}
}

func (f *file) judgeFreshness(c *column, t *tally) {
	fresh := f.contract.Quality.Freshness
	if fresh == nil || fresh.Field != c.field.Name {
		return
	}
	if t.latest == math.MinInt64 {
		f.findings.say(Finding{
			Rule: RuleFreshness, Column: c.field.Name, Field: c.index + 1,
			Message: "no row has a value, so that nothing is known of the data's age", Help: "correct the column",
		})
		return
	}
	latest := time.UnixMicro(t.latest).UTC()
	age := f.options.Now.Sub(latest)
	f.measure(Measure{Name: "age_seconds", Column: c.field.Name, Value: age.Seconds(), Limit: fresh.Within.Seconds()})
	if age <= fresh.Within || !f.findings.count(RuleFreshness, c.field.Name) {
		return
	}
	f.late = append(f.late, &late{
		number: f.number(t.latestOrder), other: -1, columns: []*column{c},
		Finding: Finding{
			Rule: RuleFreshness, Column: c.field.Name, Field: c.index + 1,
			Message: fmt.Sprintf("the latest value, %s, is %s old, at most %s is allowed", latest.Format(time.RFC3339),
				age.Round(time.Second), fresh.Within),
			Help: "see why newer data did not arrive",
		},
	})
}
