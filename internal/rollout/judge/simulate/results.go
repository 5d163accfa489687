package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// Results are judge.json.
type Results struct {
	Setting   Setting     `json:"setting"`
	Detection []Detection `json:"detection"`
	Healthy   []Alarms    `json:"healthy"`
}

// Detection is what became of the releases with a defect of one size, at 5 %.
type Detection struct {
	Defect     float64 `json:"defect"` // share of green's requests that fail on top of the base rate
	Releases   int     `json:"releases"`
	Aim        int     `json:"aim"`         // of section 9 of the design
	AtPower    int64   `json:"at_power_90"` // requests to green after which nine of ten were seen; 0: fewer than that were
	Median     int64   `json:"median"`
	InWindow   float64 `json:"seen_in_window"`   // by 60 s
	ByDeadline float64 `json:"seen_by_deadline"` // by 180 s
	OneLook    int64   `json:"one_look"`         // what Fisher's exact test needs with all of alpha for one look
}

// Alarms are how often healthy releases were stopped.
type Alarms struct {
	What     string         `json:"what"`
	Releases int            `json:"releases"`
	Alarms   int            `json:"alarms"`
	By       map[string]int `json:"by"`
	Rate     float64        `json:"rate"`
	Upper    float64        `json:"upper_95"` // one-sided exact bound
}

func simulate(s Setting) (Results, error) {
	results := Results{Setting: s}
	for _, d := range []struct {
		defect float64
		aim    int
	}{{0.30, 14}, {0.10, 61}, {0.05, 124}, {0.02, 386}} {
		found, err := s.detect(d.defect)
		if err != nil {
			return results, err
		}
		found.Aim = d.aim
		results.Detection = append(results.Detection, found)
	}
	for _, h := range []struct {
		what     string
		releases int
		plan     judge.Plan
		make     func(*release)
	}{
		{"errors and guard, one base rate for each release", s.Healthy, plan(), func(*release) {}},
		{"errors and guard, the base rate moves from look to look", s.Healthy, plan(), func(r *release) { r.moving = true }},
		{"everything: errors, guard, latency, predictions", s.Whole, wholePlan(), func(r *release) { r.whole = true }},
	} {
		alarms, err := s.healthy(h.what, h.releases, h.plan, h.make)
		if err != nil {
			return results, err
		}
		results.Healthy = append(results.Healthy, alarms)
	}
	return results, nil
}

// each runs so many releases on all cores, each with random numbers of its own, so that the result depends on the seed
// alone.
func (s Setting) each(kind string, n int, do func(i int, r *release) error) error {
	var wg sync.WaitGroup
	workers := runtime.NumCPU()
	failed := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && failed[w] == nil; i += workers {
				random := rand.New(rand.NewPCG(s.Seed, uint64(i)<<16^mix(kind))) //nolint:gosec // a simulation, repeatable by its seed
				failed[w] = do(i, &release{random: random, rate: s.Rate, base: s.base(random)})
			}
		})
	}
	wg.Wait()
	return cmp.Or(failed...)
}

// base is a release's rate of errors that both sides have.
func (s Setting) base(random *rand.Rand) float64 {
	return s.LowBase * math.Pow(s.HighBase/s.LowBase, random.Float64())
}

func mix(text string) uint64 {
	h := uint64(1469598103934665603)
	for _, b := range []byte(text) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func (s Setting) detect(defect float64) (Detection, error) {
	ends := make([]ending, s.Defective)
	err := s.each(fmt.Sprint("defect ", defect), s.Defective, func(i int, r *release) (err error) {
		r.defect = defect
		ends[i], err = r.roll(plan(), true)
		return err
	})
	d := Detection{Defect: defect, Releases: s.Defective, OneLook: s.oneLook(defect)}
	var seen []int64
	for _, e := range ends {
		if e.verdict != judge.Fail || !alarmed(e.decision) {
			continue
		}
		seen = append(seen, e.requests)
		d.ByDeadline++
		if e.decision.Elapsed <= e.decision.Window {
			d.InWindow++
		}
	}
	slices.Sort(seen)
	n := float64(s.Defective)
	d.InWindow, d.ByDeadline = d.InWindow/n, d.ByDeadline/n
	at := func(share float64) int64 {
		if rank := int(math.Ceil(share * n)); rank <= len(seen) {
			return seen[rank-1]
		}
		return 0
	}
	d.Median, d.AtPower = at(0.5), at(0.9)
	return d, err
}

func alarmed(d judge.Decision) bool {
	return d.Guard.Alarm || d.Errors != nil && d.Errors.Alarm
}

func (s Setting) healthy(what string, n int, p judge.Plan, spoil func(*release)) (Alarms, error) {
	ends := make([]ending, n)
	err := s.each(what, n, func(i int, r *release) (err error) {
		spoil(r)
		ends[i], err = r.roll(p, false)
		return err
	})
	a := Alarms{What: what, Releases: n, By: map[string]int{}}
	for _, e := range ends {
		if e.verdict != judge.Pass {
			a.Alarms++
			a.By[cause(e.decision)]++
		}
	}
	a.Rate = float64(a.Alarms) / float64(n)
	a.Upper = upper(a.Alarms, n)
	return a, err
}

func cause(d judge.Decision) string {
	switch {
	case d.Guard.Alarm:
		return "guard"
	case d.Errors != nil && d.Errors.Alarm:
		return "errors"
	case d.Latency != nil && d.Latency.Alarm:
		return "latency"
	case slices.ContainsFunc(d.Predictions, func(p judge.PredictionTest) bool { return p.Alarm }):
		return "predictions"
	default:
		return "inconclusive"
	}
}

// upper is the rate at which so few alarms or fewer have a probability of 5 % (Clopper and Pearson, 1934).
func upper(alarms, n int) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		rate := (low + high) / 2
		below := 0.0
		for k := range alarms + 1 {
			below += math.Exp(logChoose(n, k) + float64(k)*math.Log(rate) + float64(n-k)*math.Log1p(-rate))
		}
		if below > 0.05 {
			low = rate
		} else {
			high = rate
		}
	}
	return high
}

func logChoose(n, k int) float64 {
	l := func(v int) float64 {
		x, _ := math.Lgamma(float64(v + 1))
		return x
	}
	return l(n) - l(k) - l(n-k)
}
