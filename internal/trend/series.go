package trend

import (
	"math"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
)

// Window is how many points a band looks back over, its own included.
const Window = 10

// A Series is one number over time, the oldest first.
type Series struct {
	Name      string // for people: "load p95"
	Unit      string
	Points    []Point
	Direction engine.Direction // on which side of the threshold it is good; also which way is better
	Threshold float64          // of the newest point that has one; counts with HasThreshold
	Gate      bool             // it has a threshold
}

// A Point is one run's number, and a 95 % interval of the median of the window that ends with it.
type Point struct {
	Time      time.Time
	Run       string
	Value     float64
	Median    float64 // of the window, with its interval, if Banded
	Low, High float64
	Banded    bool
}

func (s *Series) add(run history.Run, value float64) {
	s.Points = append(s.Points, Point{Time: run.Time, Run: run.Run, Value: value})
}

// band fills in the intervals.
func (s *Series) band() {
	values := s.Values()
	for i := range s.Points {
		p := &s.Points[i]
		window := values[max(0, i+1-Window) : i+1]
		if p.Low, p.High, p.Banded = statistics.Band(window); p.Banded {
			p.Median = statistics.Median(window)
		}
	}
}

// Values are those of the points.
func (s Series) Values() []float64 {
	values := make([]float64, 0, len(s.Points))
	for _, p := range s.Points {
		values = append(values, p.Value)
	}
	return values
}

// Last is the newest value; NaN without any.
func (s Series) Last() float64 {
	if len(s.Points) == 0 {
		return math.NaN()
	}
	return s.Points[len(s.Points)-1].Value
}

// Met reports whether a value meets the threshold, if there is one.
func (s Series) Met(value float64) bool {
	return !s.Gate || engine.Metric{Value: value, Threshold: s.Threshold, Direction: s.Direction}.Met()
}

// Of is a number that each run has, or NaN.
func Of(runs []history.Run, name, unit string, better engine.Direction, value func(history.Run) float64) Series {
	s := Series{Name: name, Unit: unit, Direction: better}
	for _, run := range runs {
		if v := value(run); !math.IsNaN(v) {
			s.add(run, v)
		}
	}
	s.band()
	return s
}

// Metrics are the series of all metrics that want accepts, in the order in which they first appear.
func Metrics(runs []history.Run, want func(stage, step, metric string) bool) []Series {
	type key struct{ stage, step, metric string }
	at := map[key]int{}
	var all []Series
	for _, run := range runs {
		for _, result := range run.Detail.Results {
			for _, m := range result.Metrics {
				k := key{result.Stage, result.Step, m.Name}
				if !want(k.stage, k.step, k.metric) {
					continue
				}
				i, seen := at[k]
				if !seen {
					i = len(all)
					at[k] = i
					all = append(all, Series{Name: nameOf(k.step, k.metric), Unit: m.Unit})
				}
				s := &all[i]
				if m.Direction != "" {
					s.Direction, s.Threshold, s.Gate = engine.Direction(m.Direction), m.Threshold, true
				}
				if n := len(s.Points); n > 0 && s.Points[n-1].Run == run.Run { // a joined job that ran again
					s.Points[n-1].Value = m.Value
					continue
				}
				s.add(run, m.Value)
			}
		}
	}
	for i := range all {
		all[i].band()
	}
	return all
}

// nameOf does not say the same twice: pylint's pylint_score.
func nameOf(step, metric string) string {
	if strings.HasPrefix(metric, step) {
		return words(metric)
	}
	return step + " " + words(metric)
}

func words(metric string) string { return strings.ReplaceAll(metric, "_", " ") }

// A Change is how the newest values of a series lie against those before them.
type Change struct {
	Before, After   float64 // medians
	Relative        float64 // After against Before
	P               float64 // of the Mann-Whitney test
	Newest, Earlier int
	Worse           bool // significantly, by more than the margin, on the bad side
}

// Margins of a change: smaller ones are no news, and less likely ones are chance.
const (
	ChangeMargin = 0.05
	ChangeAlpha  = 0.01
)

// Against compares two sets of values by the Mann-Whitney test of golang.org/x/perf/benchmath. Of fewer than five on one
// side nothing is said.
func Against(earlier, newest []float64, better engine.Direction) (Change, bool) {
	if len(earlier) < 5 || len(newest) < 5 {
		return Change{}, false
	}
	c := Change{Before: statistics.Median(earlier), After: statistics.Median(newest), Newest: len(newest), Earlier: len(earlier)}
	if c.Before != 0 {
		c.Relative = c.After/c.Before - 1
	}
	thresholds := benchmath.DefaultThresholds
	c.P = benchmath.AssumeNothing.Compare(benchmath.NewSample(earlier, &thresholds), benchmath.NewSample(newest, &thresholds)).P
	bad := better == engine.DirectionAtMost && c.Relative > ChangeMargin || better == engine.DirectionAtLeast && c.Relative < -ChangeMargin
	c.Worse = bad && c.P < ChangeAlpha
	return c, true
}

// Lately compares the last ten values with the thirty before them.
func (s Series) Lately() (Change, bool) {
	values := s.Values()
	cut := max(0, len(values)-Window)
	return Against(values[max(0, cut-3*Window):cut], values[cut:], s.Direction)
}

// Findings are those of a run, by severity.
func Findings(run history.Run) map[string]int {
	total := map[string]int{}
	if run.Detail == nil {
		return total
	}
	for _, result := range run.Detail.Results {
		for severity, n := range result.Findings {
			total[severity] += n
		}
	}
	return total
}

// StageSeconds is how long a stage was busy in a run where it ran to its end, or NaN.
func StageSeconds(run history.Run, stage string) float64 {
	for _, step := range run.Steps {
		if step.Stage == stage && !step.Judged() {
			return math.NaN()
		}
	}
	if len(run.Spans(stage)) == 0 {
		return math.NaN()
	}
	return run.Busy(stage)
}
