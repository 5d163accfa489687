package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// plan is the one of pipeline.yaml's defaults, without what only costs time where errors alone are looked at.
func plan() judge.Plan {
	step := func(weight int) judge.Step {
		return judge.Step{Weight: weight, Window: time.Minute, Deadline: 3 * time.Minute}
	}
	return judge.Plan{
		Steps: []judge.Step{step(5), step(25), step(50), step(100)},
		Alpha: 0.001, Guard: 0.05, MinRequests: 100,
	}
}

func wholePlan() judge.Plan {
	p := plan()
	p.Slower, p.Shift, p.Predictions = 0.25, 0.15, []string{"consumption"}
	return p
}

// A release is one made-up roll-out.
type release struct {
	random *rand.Rand
	rate   float64 // requests a second on both sides
	base   float64 // both sides' rate of errors
	defect float64 // green's rate on top
	moving bool    // the base rate changes from look to look, by up to a factor of three either way
	whole  bool    // times and predictions as well
}

// An ending is how the judge's part in it ended.
type ending struct {
	verdict  judge.Verdict
	step     int
	requests int64 // to green in the step where it ended
	decision judge.Decision
}

// roll goes through the steps from the first on, to the first that fails or the last that passes. Where only the first
// step is asked for, a hold goes on to the deadline even after a pass, to see how many requests a defect would need.
func (r *release) roll(p judge.Plan, firstOnly bool) (ending, error) {
	j, err := judge.New(p, nil)
	if err != nil {
		return ending{}, err
	}
	var e ending
	for i, step := range p.Steps {
		if err := j.Begin(i); err != nil {
			return e, err
		}
		e = ending{step: i}
		last := time.Duration(0)
		for _, at := range step.Looks() {
			green, blue := r.between((at - last).Seconds(), step.Weight)
			last = at
			e.requests += green.Requests
			e.decision = j.Look(at, green, blue, "")
			e.verdict = e.decision.Verdict
			if e.verdict == judge.Fail || e.verdict == judge.Pass && !firstOnly {
				break
			}
		}
		if e.verdict == judge.Fail || firstOnly {
			break
		}
	}
	return e, nil
}

// between is what both sides do in so many seconds.
func (r *release) between(seconds float64, weight int) (green, blue judge.Side) {
	share := float64(weight) / 100
	base := r.base
	if r.moving {
		base = min(0.5, base*math.Pow(3, 2*r.random.Float64()-1))
	}
	green = r.side(r.rate*share*seconds, 1-(1-base)*(1-r.defect))
	blue = r.side(r.rate*(1-share)*seconds, base)
	return green, blue
}

func (r *release) side(expected, rate float64) judge.Side {
	s := judge.Side{Requests: r.poisson(expected)}
	s.Errors = r.binomial(s.Requests, rate)
	if !r.whole {
		return s
	}
	// Times of a log-normal with a heavy end, and predictions of two kinds of meters: only that both sides have the same
	// distribution matters. At most 500 of each look, as a back end samples.
	for range min(s.Requests, 500) {
		s.Seconds = append(s.Seconds, 0.01*math.Exp(0.7*r.random.NormFloat64()))
		prediction := 2 + r.random.NormFloat64()
		if r.random.Float64() < 0.3 {
			prediction = 20 + 8*r.random.NormFloat64()
		}
		s.Predictions = map[string][]float64{"consumption": append(s.Predictions["consumption"], prediction)}
	}
	return s
}

// poisson counts arrivals; for large numbers a rounded normal is near enough, since requests are not what is tested.
func (r *release) poisson(expected float64) int64 {
	if expected > 50 {
		return max(0, int64(math.Round(expected+math.Sqrt(expected)*r.random.NormFloat64())))
	}
	n, product := int64(0), r.random.Float64()
	for limit := math.Exp(-expected); product > limit; n++ {
		product *= r.random.Float64()
	}
	return n
}

// binomial counts errors exactly, by going from one to the next.
func (r *release) binomial(n int64, rate float64) int64 {
	if rate <= 0 || n == 0 {
		return 0
	}
	errors, at, log := int64(0), int64(0), math.Log1p(-min(rate, 1-1e-12))
	for {
		step := math.Floor(math.Log1p(-r.random.Float64())/log) + 1
		if step > float64(n-at) {
			return errors
		}
		at += int64(step)
		errors++
	}
}
