package judge

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A Plan is fixed before the first request: nothing in it depends on what is seen.
type Plan struct {
	Steps []Step
	// Alpha is the probability of any false alarm in a release whose green is like its blue: 0.001.
	Alpha float64
	// Guard is the rate of errors that is too much whatever blue does: 0.05.
	Guard float64
	// MinRequests are needed of each side that has traffic, in each window.
	MinRequests int64
	// Slower is the effect that counts: 0.25 lets green be slower than blue by a quarter. 0: latency is not judged.
	Slower float64
	// Predictions names the models whose answers are compared.
	Predictions []string
	// Shift is the Kolmogorov-Smirnov distance of predictions that counts: 0.15.
	Shift float64
}

// A Step is one weight and the window after it. At 100 % there is no blue beside green, so only the guard judges.
type Step struct {
	Weight   int           // of green, in percent
	Window   time.Duration // a pass comes no sooner
	Deadline time.Duration // a window without a pass fails then
}

// Shares of alpha. Most goes to the errors, which need it: guard, latency and predictions have one of the others each,
// and their floors keep chance away as well.
const (
	errorShare = 0.7
	otherShare = 0.1
)

const (
	// growth of the time from one look to the next: a large defect is seen at the first looks, and a small one costs at
	// most half as much again as it would with a look at every request.
	growth = 1.5
	// begins is the time of the first look, as a part of the window.
	begins = 1.0 / 60
	// front shapes the spending; see spend.
	front = 0.5
)

func (p Plan) check() error {
	switch {
	case len(p.Steps) == 0:
		return fmt.Errorf("check plan of the judge: it has no step")
	case p.Alpha <= 0 || p.Alpha > 0.05:
		return fmt.Errorf("check plan of the judge: alpha is %g: give it more than 0 and at most 0.05", p.Alpha)
	case p.Guard <= 0 || p.Guard >= 1:
		return fmt.Errorf("check plan of the judge: the guard is %g: give it a rate between 0 and 1", p.Guard)
	case p.MinRequests < 1:
		return fmt.Errorf("check plan of the judge: %d requests prove nothing: ask for at least 1", p.MinRequests)
	case p.Slower < 0 || len(p.Predictions) > 0 && (p.Shift <= 0 || p.Shift >= 1):
		return fmt.Errorf("check plan of the judge: an effect is out of range (slower %g, shift %g)", p.Slower, p.Shift)
	}
	for i, s := range p.Steps {
		if s.Weight < 1 || s.Weight > 100 || s.Window <= 0 || s.Deadline < s.Window {
			return fmt.Errorf("check plan of the judge: step %d: weight %d %%, window %s, deadline %s: the weight is 1 to 100, the deadline not before the window's end",
				i, s.Weight, s.Window, s.Deadline)
		}
	}
	return nil
}

// Looks are the times of a step at which to look, the first soon after its beginning, one at the end of the window,
// the last at the deadline.
func (s Step) Looks() []time.Duration {
	var looks []time.Duration
	for at := float64(s.Window); at >= float64(s.Window)*begins; at /= growth {
		looks = append(looks, time.Duration(at))
	}
	slices.Reverse(looks)
	for at := float64(s.Window) * growth; at < float64(s.Deadline); at *= growth {
		looks = append(looks, time.Duration(at))
	}
	if s.Deadline > s.Window {
		looks = append(looks, s.Deadline)
	}
	return looks
}

// share of the planned looks that are due by then. It depends on the plan and the time alone.
func (p Plan) share(step int, elapsed time.Duration) float64 {
	total, due := 0, 0
	for i, s := range p.Steps {
		looks := s.Looks()
		total += len(looks)
		switch {
		case i < step:
			due += len(looks)
		case i == step:
			for _, at := range looks {
				if at <= elapsed {
					due++
				}
			}
		}
	}
	return float64(due) / float64(total)
}

// spend is the part of alpha that may be spent when that share of the looks is due: the power family α·t^ρ of Kim and
// DeMets, "Design and analysis of group sequential tests based on the type I error spending rate function" (Biometrika
// 74, 1987), for the method of Lan and DeMets, "Discrete sequential boundaries for clinical trials" (Biometrika 70,
// 1983), with ρ = ½. That spends early, unlike O'Brien and Fleming: a release that breaks a third of its requests has
// to be seen after a dozen of them, and the small defect has until the last look. Time is counted in planned looks,
// which does not depend on what is seen (Lan and DeMets, "Group sequential procedures: calendar versus information
// time", Statistics in Medicine 8, 1989).
func spend(share float64) float64 { return math.Pow(min(1, max(0, share)), front) }

// budget of one of the tests up to that share.
func (p Plan) budget(part, share float64) float64 { return p.Alpha * part * spend(share) }

// A spending is from one share to the next. What may be spent there is a bound for a test that knows nothing of its
// earlier looks: the sum over all looks is its part of alpha, whatever the looks have to do with each other.
type spending struct{ from, to float64 }

func (p Plan) increment(s spending) float64 {
	return p.budget(otherShare, s.to) - p.budget(otherShare, s.from)
}
