package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Duration writes a duration as a person would say it: 0.4 s, 12 s, 2 min 05 s, 1 h 02 min.
func Duration(d time.Duration) string {
	switch tenths := d.Round(100 * time.Millisecond); {
	case d <= 0:
		return "0 s"
	case d < time.Millisecond:
		return "< 1 ms"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case tenths < 10*time.Second:
		return fmt.Sprintf("%.1f s", tenths.Seconds())
	}
	switch s := int(d.Round(time.Second).Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		m := int(d.Round(time.Minute).Minutes())
		return fmt.Sprintf("%d h %02d min", m/60, m%60)
	}
}

// Count writes a number and what it counts, given in the plural: 1 file, 2 files, 1 entry.
func Count(n int, plural string) string {
	if n == 1 {
		return "1 " + singular(plural)
	}
	return strconv.Itoa(n) + " " + plural
}

func singular(plural string) string {
	switch {
	case strings.HasSuffix(plural, "ies"):
		return strings.TrimSuffix(plural, "ies") + "y"
	case strings.HasSuffix(plural, "sses"):
		return strings.TrimSuffix(plural, "es")
	default:
		return strings.TrimSuffix(plural, "s")
	}
}

// Number writes a value with its unit: 74.1 %, 8.61, 402 tests. Two decimals are enough to see why a gate failed,
// unless they hide the difference.
func Number(v float64, unit string) string {
	return number(v, unit, 2)
}

func number(v float64, unit string, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	switch {
	case math.IsNaN(v):
		s = "not a number"
	case math.IsInf(v, 0):
		s = "infinite"
	case strings.Contains(s, "."):
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// Label is a metric's name as words: line coverage.
func Label(m engine.Metric) string {
	return strings.ReplaceAll(m.Name, "_", " ")
}

// Threshold says what a metric must meet: "at least 80 %"; empty if nothing.
func Threshold(m engine.Metric) string {
	switch m.Direction {
	case engine.DirectionAtLeast:
		return "at least " + Number(m.Threshold, m.Unit)
	case engine.DirectionAtMost:
		return "at most " + Number(m.Threshold, m.Unit)
	default:
		return ""
	}
}

// Miss says how a metric misses its threshold: "line coverage 74.1 % is below 80 %".
func Miss(m engine.Metric) string {
	side := "is below"
	if m.Direction == engine.DirectionAtMost {
		side = "is above"
	}
	if math.IsNaN(m.Value) {
		side = "does not meet"
	}
	value, threshold := Number(m.Value, m.Unit), Number(m.Threshold, m.Unit)
	for decimals := 3; value == threshold && decimals <= 9; decimals++ { // 79.999 % is not 80 %
		value, threshold = number(m.Value, m.Unit, decimals), number(m.Threshold, m.Unit, decimals)
	}
	return fmt.Sprintf("%s %s %s %s", Label(m), value, side, threshold)
}

// SeverityWord names a severity; none is empty.
func SeverityWord(s engine.Severity) string {
	switch s {
	case engine.SeverityInfo:
		return "info"
	case engine.SeverityLow:
		return "low"
	case engine.SeverityMedium:
		return "medium"
	case engine.SeverityHigh:
		return "high"
	case engine.SeverityCritical:
		return "critical"
	default:
		return ""
	}
}

// Place writes where a finding is, so that editors and terminals can open it: path:line:column, as far as is known.
func Place(f engine.Finding) string {
	switch {
	case f.Path == "" || f.Line <= 0:
		return f.Path
	case f.Column <= 0:
		return fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	return fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column)
}

// Verdict is the run in one line: "check failed in 41 s".
func (r Report) Verdict() string {
	word := "could not be judged"
	switch {
	case r.Run.Interrupted:
		return fmt.Sprintf("%s was interrupted after %s", r.name(), Duration(r.Run.Duration))
	case r.Run.DeadlineExceeded:
		return fmt.Sprintf("%s ran out of time after %s", r.name(), Duration(r.Run.Duration))
	case r.Run.Status == engine.StatusPassed:
		word = "passed"
	case r.Run.Status == engine.StatusFailed:
		word = "failed"
	case r.Run.Status == engine.StatusSkipped:
		word = "was skipped"
	case r.Tally().Failed > 0:
		return fmt.Sprintf("%s failed in %s, not fully judged", r.name(), Duration(r.Run.Duration))
	}
	return fmt.Sprintf("%s %s in %s", r.name(), word, Duration(r.Run.Duration))
}

func (r Report) name() string {
	if r.Run.Target == "" {
		return "run"
	}
	return r.Run.Target
}

// Detail counts what the verdict is made of: "2 of 8 steps failed, 1 could not be judged, 1 skipped".
func (r Report) Detail() string {
	t := r.Tally()
	var parts []string
	add := func(n int, words string) {
		if n == 0 {
			return
		}
		if len(parts) == 0 {
			parts = append(parts, fmt.Sprintf("%d of %s %s", n, Count(t.Steps, "steps"), words))
			return
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, words))
	}
	switch {
	case t.Steps == 0:
		parts = append(parts, "no step ran")
	case t.Passed == t.Steps && t.Steps == 1:
		parts = append(parts, "1 step passed")
	case t.Passed == t.Steps:
		parts = append(parts, fmt.Sprintf("all %d steps passed", t.Steps))
	case t.Failed+t.Errors == 0:
		add(t.Passed, "passed")
	}
	add(t.Failed, "failed")
	add(t.Errors, "could not be judged")
	add(t.Skipped, "skipped")
	if len(r.Run.Problems) > 0 {
		parts = append(parts, Count(len(r.Run.Problems), "problems")+" of the run itself")
	}
	return strings.Join(parts, ", ")
}

// Next are the commands to type next, in order; none after a pass.
func (r Report) Next() []string {
	if r.Run.Status == engine.StatusPassed || r.Run.Status == engine.StatusSkipped {
		return nil
	}
	var fixes, reruns []string
	for _, step := range r.Steps() {
		if step.Status == engine.StatusFailed && step.Fix != "" && !slices.Contains(fixes, step.Fix) {
			fixes = append(fixes, step.Fix)
		}
		if step.Status != engine.StatusPassed && step.Status != engine.StatusSkipped && step.Rerun != "" {
			reruns = append(reruns, step.Rerun)
		}
	}
	again := "mage " + r.Run.Target
	if len(reruns) == 1 && !r.Run.Interrupted {
		again = reruns[0]
	}
	if r.Run.Target == "" && len(reruns) != 1 {
		return fixes
	}
	return append(fixes, again)
}
