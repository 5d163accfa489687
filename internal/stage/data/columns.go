package data

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// columns is the profile of today, beside the baseline where there is one.
func (g judgement) columns(r *dataset.Result) engine.Table {
	if r.Profile == nil {
		return engine.Table{}
	}
	t := Columns(r.Profile, g.baseline())
	t.Detail = true
	return t
}

// baseline is nil if there is none, or if it can't be read: the drift rule has said so.
func (g judgement) baseline() *profile.Profile {
	drift := g.set.contract.Quality.Drift
	if drift == nil {
		return nil
	}
	b, err := profile.Load(filepath.Join(g.project.Root, filepath.FromSlash(drift.Baseline)))
	if err != nil {
		return nil
	}
	return &b.Profile
}

// Columns lays a profile out as a table with a picture for each column; baseline may be nil.
func Columns(p, baseline *profile.Profile) engine.Table {
	t := engine.Table{
		Title:   fmt.Sprintf("Profile of %d columns", len(p.Columns)),
		Columns: []string{"column", "type", "values", "missing", "distinct", "min", "5 %", "median", "95 %", "max", "mean"},
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		row := []string{c.Name, string(c.Kind), strconv.FormatInt(c.Count, 10), strconv.FormatInt(c.Nulls, 10), distinct(c)}
		t.Rows = append(t.Rows, append(row, numbers(c)...))
		var before *profile.Summary
		if baseline != nil {
			before = baseline.Column(c.Name)
		}
		t.Spreads = append(t.Spreads, spread(c, before))
	}
	return t
}

func distinct(c *profile.Summary) string {
	if c.DistinctExact {
		return strconv.FormatInt(c.Distinct, 10)
	}
	return "about " + strconv.FormatInt(c.Distinct, 10)
}

// numbers are the smallest, three quantiles, the largest and the mean; of texts, the lengths of the shortest and the longest.
func numbers(c *profile.Summary) []string {
	switch {
	case c.Numbers != nil:
		say := func(v float64) string { return value(c.Kind, v) }
		n := c.Numbers
		return []string{say(n.Min), say(quantile(n, 0.05)), say(quantile(n, 0.5)), say(quantile(n, 0.95)), say(n.Max), say(n.Mean)}
	case c.Texts != nil:
		return []string{characters(c.Texts.Shortest), "", "", "", characters(c.Texts.Longest), ""}
	default:
		return []string{"", "", "", "", "", ""}
	}
}

func characters(n int) string {
	return fmt.Sprintf("%d chars", n)
}

func quantile(n *profile.Numbers, share float64) float64 {
	for _, q := range n.Quantiles {
		if q.Share >= share {
			return q.Value
		}
	}
	return n.Max
}

// value writes a number as a person would; times are seconds since 1970.
func value(kind profile.Kind, v float64) string {
	if kind == profile.Time {
		return time.Unix(int64(v), 0).UTC().Format("2006-01-02 15:04")
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// spread is the picture: of numbers from low to high, of texts the most frequent ones.
func spread(today, baseline *profile.Summary) engine.Spread {
	p := profile.NewPicture(today, baseline)
	s := engine.Spread{Shares: p.Shares, Baseline: p.Baseline}
	switch {
	case today.Numbers != nil:
		s.Low, s.High = edge(today.Kind, p.Low), edge(today.Kind, p.High)
	case today.Texts != nil && len(today.Texts.Frequent) > 0:
		f := today.Texts.Frequent
		s.Low, s.High = f[0].Text, f[len(f)-1].Text
	}
	return s
}

// edge is shorter than value: there is little room under a picture.
func edge(kind profile.Kind, v float64) string {
	if kind == profile.Time {
		return time.Unix(int64(v), 0).UTC().Format(time.DateOnly)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
