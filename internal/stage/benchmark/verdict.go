package benchmark

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// bins of a drawn distribution.
const bins = 24

// verdict turns the measures of one step into a judgement.
type verdict struct {
	job      job
	machine  Machine
	software Software
	found    found

	baseline Baseline
	missing  string // why there is no baseline to compare with
	stored   *Stored
}

func (v *verdict) findBaseline() error {
	all, err := readBaselines(v.job.p)
	if err != nil {
		return err
	}
	v.baseline, v.missing = all.of(v.machine)
	return nil
}

// add compares a measure, if it is the one that has a baseline.
func (v *verdict) add(m Measure, first bool) Measure {
	b := v.job.p.Benchmark
	switch {
	case !first:
		m.Comparison = notCompared("only the first data set is")
	case v.missing != "":
		m.Comparison = notCompared("%s", v.missing)
	default:
		m.Comparison, v.stored = v.baseline.against(m, b.Alpha, b.Slower/100)
	}
	return m
}

func (v *verdict) judgement(measures []Measure) engine.Judgement {
	j := engine.Judgement{Unit: v.job.unit, Findings: v.found.findings, Warnings: v.found.warnings}
	table := engine.Table{
		Title:   capital(v.job.judges),
		Columns: []string{"measure", "min", "median", "p95", "p99", "limit of p95", v.job.unit},
	}
	for i, m := range measures {
		j.Judged += m.Summary.Count
		prefix := ""
		if i > 0 {
			prefix = m.Data + "_"
		}
		j.Metrics = append(j.Metrics, v.metrics(m, prefix)...)
		v.rows(&table, m, i == 0)
		note := fmt.Sprintf("p95 is of %d %s in %s", m.Summary.Count, m.Unit, plural(len(m.Repetitions), v.repetition()))
		if m.Data != "" {
			note += " on " + m.Data
		}
		if i == 0 {
			note += v.compared(&j, m)
		}
		j.Notes = append(j.Notes, note)
	}
	if len(measures) == 0 { // every answer was wrong: that was judged
		j.Judged = len(j.Findings)
	}
	j.Tables = []engine.Table{table}
	j.Notes = append(j.Notes, v.company(measures))
	if v.found.unknown != nil {
		j.Warnings = append(j.Warnings, fmt.Sprintf("nobody knows how busy the machine was meanwhile: %v", v.found.unknown))
	}
	return j
}

// metrics are milliseconds. The limit is that of the documentation, and judged on the 95th percentile.
func (v *verdict) metrics(m Measure, prefix string) []engine.Metric {
	metrics := []engine.Metric{{
		Name: prefix + "p95", Value: ms(m.Summary.P95), Unit: "ms", Threshold: ms(m.Limit), Direction: engine.DirectionAtMost,
		Help: fmt.Sprintf("%s: the limit is judged on the 95th percentile (min %s, median %s, p99 %s of %d %s); `mage benchmark:profile` shows where the time goes",
			v.job.judges, seconds(m.Summary.Min), seconds(m.Summary.Median), seconds(m.Summary.P99), m.Summary.Count, m.Unit),
	}}
	for _, other := range []struct {
		name  string
		value float64
	}{{"min", m.Summary.Min}, {"median", m.Summary.Median}, {"p99", m.Summary.P99}} {
		metrics = append(metrics, engine.Metric{Name: prefix + other.name, Value: ms(other.value), Unit: "ms"})
	}
	return metrics
}

// rows are one for the measure and one for its baseline, drawn on the same scale.
func (v *verdict) rows(table *engine.Table, m Measure, first bool) {
	row := func(name string, s Summary, limit, count string) []string {
		return []string{name, seconds(s.Min), seconds(s.Median), seconds(s.P95), seconds(s.P99), limit, count}
	}
	name := m.Name
	if m.Data != "" {
		name += " (" + m.Data + ")"
	}
	rounds := measured{repetitions: m.Repetitions}.rounds()
	low, high := m.Summary.Min, m.Summary.P99
	var then []float64
	if first && v.stored != nil {
		then = v.stored.Quantiles
		low, high = min(low, then[0]), max(high, quantile(then, 0.99))
	}
	spread := engine.Spread{Shares: shares(rounds, low, high), Low: seconds(low), High: seconds(high) + " and more"}
	if then != nil {
		spread.Baseline = shares(then, low, high)
	}
	table.Rows = append(table.Rows, row(name, m.Summary, seconds(m.Limit), strconv.Itoa(m.Summary.Count)))
	table.Spreads = append(table.Spreads, spread)
	if then != nil {
		table.Rows = append(table.Rows, row("baseline of "+v.baseline.Stored, summarize(then), "", ""))
		table.Spreads = append(table.Spreads, engine.Spread{Shares: spread.Baseline, Low: spread.Low, High: spread.High})
	}
}

// repetition is what is started anew for each.
func (v *verdict) repetition() string {
	if v.job.unit == "requests" {
		return "server"
	}
	return "process"
}

// company says on what machine it was measured, and what else that had to do.
func (v *verdict) company(measures []Measure) string {
	text := v.machine.String()
	var others []float64
	disturbed := 0
	for _, m := range measures {
		for _, r := range m.Repetitions {
			if r.Busy != nil {
				others = append(others, 100*r.Busy.share())
			}
		}
		disturbed += len(m.Disturbed)
	}
	if len(measures) > 0 && measures[0].LoadAverage != nil {
		text += fmt.Sprintf("; load average %.2f", *measures[0].LoadAverage)
	}
	if len(others) > 0 {
		text += fmt.Sprintf("; others had %.0f %% of the cores' time (at most %.0f %%)", quantile(others, 0.5), quantile(others, 1))
	}
	if disturbed > 0 {
		text += fmt.Sprintf("; %s repeated, since they had more than %v %%", plural(disturbed, v.repetition()), v.job.p.Benchmark.Busy)
	}
	return text
}

// compared says what the comparison came to. Only a run that is to judge makes a finding of it: whoever stores a
// baseline has decided that this is how it is to be.
func (v *verdict) compared(j *engine.Judgement, m Measure) string {
	c := m.Comparison
	switch {
	case c.Verdict == verdictNotCompared && v.job.stage.baseline:
		return ""
	case c.Verdict == verdictNotCompared:
		return fmt.Sprintf("; not compared: %s: `mage benchmark:baseline` stores one", c.Reason)
	}
	text := fmt.Sprintf("median %s, %s of the %s: %s, %s", seconds(c.Now), change(c.Change), v.baseline.told(v.software), seconds(c.Baseline),
		figures(c, v.job.p.Benchmark.Slower))
	switch {
	case c.Verdict == verdictSlower && !v.job.stage.baseline:
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "regression", Severity: engine.SeverityHigh,
			Message: fmt.Sprintf("%s has become slower: %s", v.job.judges, text),
			Help:    "see where the time goes with `mage benchmark:profile`; if it is meant to be so, store a new baseline with `mage benchmark:baseline`",
		})
		return "; slower than the baseline"
	case c.Verdict == verdictFaster:
		return "; faster than before: " + text + "; `mage benchmark:baseline` makes that the new baseline"
	}
	return "; compared: " + text
}

// figures are those of the test. What is beyond the margin, but by chance perhaps, is said to be so.
func figures(c Comparison, slower float64) string {
	sizes := fmt.Sprintf("%d repetitions against %d", c.Sizes[1], c.Sizes[0])
	switch {
	case c.P >= 1:
		return fmt.Sprintf("within the %v %% that may be (%s)", slower, sizes)
	case c.Verdict == verdictSame:
		return fmt.Sprintf("beyond the %v %% that may be, but not significantly: p = %.1g (%s)", slower, c.P, sizes)
	default:
		return fmt.Sprintf("beyond the %v %% that may be with p = %.1g (%s)", slower, c.P, sizes)
	}
}

func change(c float64) string {
	if c < 0 {
		return fmt.Sprintf("%.0f %% below that", -100*c)
	}
	return fmt.Sprintf("%.0f %% above that", 100*c)
}

// shares puts values into bins of equal width; what lies above goes into the last one.
func shares(values []float64, low, high float64) []float64 {
	counts := make([]float64, bins)
	for _, v := range values {
		at := 0
		if high > low {
			at = int((v - low) / (high - low) * bins)
		}
		counts[min(max(at, 0), bins-1)] += 1 / float64(len(values))
	}
	return counts
}

func ms(s float64) float64 { return math.Round(s*1e7) / 1e4 }

// seconds writes a time with three figures that count.
func seconds(s float64) string {
	switch {
	case s >= 1:
		return figuresOf(s) + " s"
	case s >= 1e-3:
		return figuresOf(s*1e3) + " ms"
	default:
		return figuresOf(s*1e6) + " µs"
	}
}

func figuresOf(v float64) string {
	decimals := 0
	if v < 100 {
		decimals = 1
	}
	if v < 10 {
		decimals = 2
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func plural(n int, noun string) string {
	if strings.HasSuffix(noun, "s") && n != 1 {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return python.Count(n, noun)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
