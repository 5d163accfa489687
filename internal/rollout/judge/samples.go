package judge

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
)

const (
	leastTimes       = 50
	leastPredictions = 100
	// kept of each sample are the newest: enough for any effect that counts.
	kept = 20_000
)

// add takes in what came since the last look.
func (s *Side) add(more Side, models []string) {
	s.Requests += more.Requests
	s.Errors += more.Errors
	s.Seconds = newest(s.Seconds, more.Seconds)
	for _, m := range models {
		if s.Predictions == nil {
			s.Predictions = map[string][]float64{}
		}
		s.Predictions[m] = newest(s.Predictions[m], more.Predictions[m])
	}
}

func newest(old, more []float64) []float64 {
	all := slices.Concat(old, more)
	return all[max(0, len(all)-kept):]
}

// sound demands numbers: NaN has no place in an order.
func (s Side) sound() bool {
	for _, values := range s.Predictions {
		if slices.ContainsFunc(values, math.IsNaN) {
			return false
		}
	}
	return !slices.ContainsFunc(s.Seconds, func(v float64) bool { return math.IsNaN(v) || v < 0 })
}

// compareLatency judges whether green is slower than blue by more than the floor: not "slower than blue", which enough
// requests always find, but slower than blue's times made longer by the floor, by the Mann-Whitney test, which assumes
// nothing about how times are distributed. Its p is two-sided; only one side is an alarm, so it is on the safe side.
func (j *Judge) compareLatency() *LatencyTest {
	green, blue := j.step.green.Seconds, j.step.blue.Seconds
	t := &LatencyTest{Asked: j.plan.Slower > 0, Floor: j.plan.Slower, Green: len(green), Blue: len(blue), P: 1}
	t.Alpha = j.plan.increment(j.step.spent)
	if !t.Asked || len(green) < leastTimes || len(blue) < leastTimes {
		t.Reason = fmt.Sprintf("%d times of each side (%d and %d so far)", leastTimes, len(green), len(blue))
		return t
	}
	t.GreenMedian, t.BlueMedian = median(green), median(blue)
	if slower(green, blue, t.Floor) {
		raised := make([]float64, len(blue))
		for i, v := range blue {
			raised[i] = v * (1 + t.Floor)
		}
		t.P = mannWhitney(raised, green)
		t.Alarm = t.P <= t.Alpha && throughout(green, blue, t.Floor)
	}
	if t.Judged = t.Alarm || t.P > t.Alpha; !t.Judged {
		t.Reason = fmt.Sprintf("more times: green takes %s and blue %s, but not all the time", milliseconds(t.GreenMedian), milliseconds(t.BlueMedian))
	}
	return t
}

func slower(green, blue []float64, floor float64) bool { return median(green) > median(blue)*(1+floor) }

// throughout reports whether green is the slower one in each part of the window. The test takes times for independent, and
// those of a burst are not: a host that had something else to do for a moment makes all slow that were asked then, which
// may be many of green's and few of blue's. A release that is slow is slow all the time.
func throughout(green, blue []float64, floor float64) bool {
	const parts = 3
	for i := range parts {
		if !slower(part(green, i, parts), part(blue, i, parts), floor) {
			return false
		}
	}
	return true
}

func part(values []float64, i, of int) []float64 {
	return values[len(values)*i/of : len(values)*(i+1)/of]
}

// mannWhitney is the probability that two samples of one distribution differ as much as these.
func mannWhitney(a, b []float64) float64 {
	sample := func(values []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds) // it sorts in place
	}
	return benchmath.AssumeNothing.Compare(sample(a), sample(b)).P
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// comparePredictions judges each model's answers by their Kolmogorov-Smirnov distance: a release that answers
// something else with status 200 breaks no other rule. Both sides answer the same mixture of requests, so the distance
// is the model's. It must be above the floor, and above what chance can do at this look.
func (j *Judge) comparePredictions() []PredictionTest {
	var tests []PredictionTest
	for _, model := range j.plan.Predictions {
		green, blue := j.step.green.Predictions[model], j.step.blue.Predictions[model]
		t := PredictionTest{Model: model, Green: len(green), Blue: len(blue), Floor: j.plan.Shift}
		t.Alpha = j.plan.increment(j.step.spent) / float64(len(j.plan.Predictions))
		if len(green) < leastPredictions || len(blue) < leastPredictions {
			t.Reason = fmt.Sprintf("%d of each side (%d and %d so far)", leastPredictions, t.Green, t.Blue)
			tests = append(tests, t)
			continue
		}
		now, before := summary(green), summary(blue)
		t.Distance = profile.Compare(&now, &before, 0, t.Floor).KS.Value
		t.Chance = 1
		if t.Alpha > 0 {
			t.Chance = profile.Smirnov(t.Alpha, float64(t.Green), float64(t.Blue))
		}
		t.Alarm = t.Distance > t.Floor && t.Distance > t.Chance
		// A distance above the floor that chance alone could reach proves nothing either way.
		if t.Judged = t.Alarm || t.Distance <= t.Floor; !t.Judged {
			t.Reason = fmt.Sprintf("more of them: the distance is %.3f, the floor %.3f, and chance can reach %.3f", t.Distance, t.Floor, t.Chance)
		}
		tests = append(tests, t)
	}
	return tests
}

func summary(values []float64) profile.Summary {
	c := profile.NewColumn(profile.Number)
	c.Floats(values)
	return c.Summary("prediction")
}
