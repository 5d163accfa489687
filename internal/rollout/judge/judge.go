// Package judge decides from what a canary and the version beside it did whether a roll-out goes on.
//
// It looks several times at each step, and each look may raise a false alarm. So the probability of one, for the whole
// release, is fixed beforehand and spent over the planned looks: see Plan.spend. What was not measured is never a pass:
// a step holds until it has what it waits for, and fails at its deadline.
//
// It stands below package rollout, starts nothing and knows no clock: figures and elapsed times come in, decisions with
// all their numbers go out.
package judge

import (
	"fmt"
	"slices"
	"time"
)

// A Side is what one version did since the last look.
type Side struct {
	Requests int64
	Errors   int64     // answers with a status of 500 or more, and requests without an answer
	Seconds  []float64 // of requests, in the order of time: all, or a random sample
	// Predictions are the answers by model: all, or a random sample.
	Predictions map[string][]float64
}

// Counts are what the test of errors needs of one look.
type Counts struct {
	Requests     int64 `json:"requests"` // green's
	Errors       int64 `json:"errors"`
	BlueRequests int64 `json:"blue_requests"`
	BlueErrors   int64 `json:"blue_errors"`
}

// A Look is what must be remembered of one, in the journal, so that another driver spends no alpha twice.
type Look struct {
	Step   int     `json:"step"`
	Share  float64 `json:"share"` // of all planned looks, with this one
	Counts Counts  `json:"counts"`
}

// A Judge follows one release. It is for one goroutine.
type Judge struct {
	plan    Plan
	history []Look
	shares  float64 // the last share that any look had
	errors  sequence
	step    step
}

// A step is the window at one weight, from its last beginning on.
type step struct {
	index, looks int
	green, blue  Side
	spent        spending // of the step's look
}

// New returns a judge that knows the looks of an earlier driver at the same release.
func New(plan Plan, history []Look) (*Judge, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	j := &Judge{plan: plan, errors: begin()}
	for _, l := range history {
		if !l.Counts.sound() || l.Share < 0 || l.Share > 1 {
			return nil, fmt.Errorf("read looks of an earlier driver: step %d: they contradict themselves", l.Step)
		}
		j.errors.look(l.Counts, j.plan.budget(errorShare, l.Share))
		j.shares = max(j.shares, l.Share)
		j.remember(l)
	}
	return j, nil
}

// History is what New wants.
func (j *Judge) History() []Look { return slices.Clone(j.history) }

// Begin begins a window of the step with that index, with no figure in it yet: also one that was begun before.
func (j *Judge) Begin(index int) error {
	if index < 0 || index >= len(j.plan.Steps) {
		return fmt.Errorf("begin window: there is no step %d of %d", index, len(j.plan.Steps))
	}
	j.step = step{index: index}
	return nil
}

// Look decides at one look, which comes so long after the window's beginning. Missing says why there are no figures
// since the last look; the sides don't count then.
func (j *Judge) Look(elapsed time.Duration, green, blue Side, missing string) Decision {
	s := &j.step
	s.looks++
	counts := Counts{green.Requests, green.Errors, blue.Requests, blue.Errors}
	if missing == "" && (!counts.sound() || !green.sound() || !blue.sound()) {
		missing = "the figures contradict themselves"
	}
	if missing != "" {
		counts, green, blue = Counts{}, Side{}, Side{}
	}
	s.green.add(green, j.plan.Predictions)
	s.blue.add(blue, j.plan.Predictions)
	share := max(j.shares, j.plan.share(s.index, elapsed))
	s.spent = spending{j.shares, share}
	j.shares = share

	d := Decision{
		Step: s.index, Weight: j.plan.Steps[s.index].Weight, Look: s.looks, Share: share, Missing: missing,
		Elapsed: elapsed.Seconds(), Window: j.plan.Steps[s.index].Window.Seconds(), Deadline: j.plan.Steps[s.index].Deadline.Seconds(),
	}
	d.Guard = j.guard()
	if !d.alone() {
		d.Errors = j.compareErrors(counts, share)
		d.Latency = j.compareLatency()
		d.Predictions = j.comparePredictions()
	}
	j.remember(Look{s.index, share, counts})
	j.decide(&d)
	return d
}

// remember keeps no more looks than are planned, however long a roll-out is paused: those of one step that had the same
// share, and so the same budget, count as one.
func (j *Judge) remember(l Look) {
	if n := len(j.history) - 1; n >= 0 && j.history[n].Step == l.Step && j.history[n].Share == l.Share {
		j.history[n].Counts.add(l.Counts)
		return
	}
	j.history = append(j.history, l)
}

// decide goes from the surest to the least sure.
func (j *Judge) decide(d *Decision) {
	if reason := d.alarm(); reason != "" {
		d.Verdict, d.Reason = Fail, reason
		return
	}
	if d.Waits = j.waits(d); len(d.Waits) == 0 {
		d.Verdict = Pass
		return
	}
	if d.Elapsed >= d.Deadline {
		d.Verdict, d.Reason, d.Inconclusive = Fail, "inconclusive at the deadline", true
		return
	}
	d.Verdict = Hold
}

// waits lists what a pass still needs.
func (j *Judge) waits(d *Decision) []string {
	var waits []string
	if d.Elapsed < d.Window {
		waits = append(waits, fmt.Sprintf("%s more of the window", seconds(d.Window-d.Elapsed)))
	}
	if d.Missing != "" {
		waits = append(waits, "figures: "+d.Missing)
	}
	if least := j.plan.MinRequests; d.Guard.Requests < least {
		waits = append(waits, fmt.Sprintf("%d more requests to green", least-d.Guard.Requests))
	}
	if d.alone() {
		return waits
	}
	if d.Errors.Window.BlueRequests < j.plan.MinRequests {
		waits = append(waits, fmt.Sprintf("%d more requests to blue", j.plan.MinRequests-d.Errors.Window.BlueRequests))
	}
	if d.Latency.Asked && !d.Latency.Judged {
		waits = append(waits, d.Latency.Reason)
	}
	for _, p := range d.Predictions {
		if !p.Judged {
			waits = append(waits, fmt.Sprintf("predictions of %s: %s", p.Model, p.Reason))
		}
	}
	return waits
}

func (c Counts) sound() bool {
	return c.Errors >= 0 && c.BlueErrors >= 0 && c.Errors <= c.Requests && c.BlueErrors <= c.BlueRequests &&
		c.Requests < 1<<40 && c.BlueRequests < 1<<40
}
