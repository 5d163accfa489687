package judge

import (
	"fmt"
	"strings"
	"time"
)

// A Verdict is what follows from a look.
type Verdict string

// Verdicts.
const (
	Hold Verdict = "hold" // look again
	Pass Verdict = "pass" // go on to the next weight
	Fail Verdict = "fail" // roll back
)

// A Decision is a verdict with everything that it came from. Times are in seconds.
type Decision struct {
	Step     int      `json:"step"`
	Weight   int      `json:"weight"` // percent
	Look     int      `json:"look"`   // of this window, from 1
	Share    float64  `json:"share"`  // of all looks of the plan that are due
	Elapsed  float64  `json:"elapsed"`
	Window   float64  `json:"window"`
	Deadline float64  `json:"deadline"`
	Verdict  Verdict  `json:"verdict"`
	Reason   string   `json:"reason,omitempty"`  // of Fail
	Waits    []string `json:"waits,omitempty"`   // what a pass needs yet
	Missing  string   `json:"missing,omitempty"` // why there are no figures
	// Inconclusive says of a failure that nothing is known to be wrong: the deadline came first.
	Inconclusive bool `json:"inconclusive,omitempty"`

	Guard       GuardTest        `json:"guard"`
	Errors      *ErrorTest       `json:"errors,omitempty"` // these are nil where there is no blue beside green
	Latency     *LatencyTest     `json:"latency,omitempty"`
	Predictions []PredictionTest `json:"predictions,omitempty"`
}

// A GuardTest compares green's errors in this window with the absolute limit.
type GuardTest struct {
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	Limit    float64 `json:"limit"`
	P        float64 `json:"p"`
	Alpha    float64 `json:"alpha"` // that this look may spend
	Alarm    bool    `json:"alarm"`
}

// An ErrorTest compares green's errors with blue's.
type ErrorTest struct {
	Now     Counts  `json:"now"`     // since the last look
	Window  Counts  `json:"window"`  // in this window
	Release Counts  `json:"release"` // in all, which is what is tested
	P       float64 `json:"p"`       // of a false alarm by now, if this were the limit
	Spent   float64 `json:"spent"`   // of alpha, with this look
	Alpha   float64 `json:"alpha"`   // that may be spent by now
	Alarm   bool    `json:"alarm"`
}

// A LatencyTest compares green's times with blue's, made longer by the floor.
type LatencyTest struct {
	Asked       bool    `json:"asked"`
	Judged      bool    `json:"judged"`
	Reason      string  `json:"reason,omitempty"` // why not
	Green       int     `json:"green"`            // times
	Blue        int     `json:"blue"`
	GreenMedian float64 `json:"green_median"` // seconds
	BlueMedian  float64 `json:"blue_median"`
	Floor       float64 `json:"floor"`
	P           float64 `json:"p"`
	Alpha       float64 `json:"alpha"` // that this look may spend
	Alarm       bool    `json:"alarm"`
}

// A PredictionTest compares what one model answers on both sides.
type PredictionTest struct {
	Model    string  `json:"model"`
	Judged   bool    `json:"judged"`
	Reason   string  `json:"reason,omitempty"` // why not
	Green    int     `json:"green"`
	Blue     int     `json:"blue"`
	Distance float64 `json:"distance"` // Kolmogorov-Smirnov
	Floor    float64 `json:"floor"`
	Chance   float64 `json:"chance"` // what equal models exceed with probability Alpha
	Alpha    float64 `json:"alpha"`  // that this look may spend
	Alarm    bool    `json:"alarm"`
}

// alone reports whether green has all the traffic.
func (d *Decision) alone() bool { return d.Weight == 100 }

// alarm is why it must fail, if it must.
func (d *Decision) alarm() string {
	switch {
	case d.Guard.Alarm:
		return fmt.Sprintf("green fails %s of its requests, and never more than %s may", rate(d.Guard.Errors, d.Guard.Requests), percent(d.Guard.Limit))
	case d.alone():
		return ""
	case d.Errors.Alarm:
		c := d.Errors.Release
		return fmt.Sprintf("green fails %s of its requests, blue %s", rate(c.Errors, c.Requests), rate(c.BlueErrors, c.BlueRequests))
	case d.Latency.Alarm:
		return fmt.Sprintf("green takes %s, blue %s", milliseconds(d.Latency.GreenMedian), milliseconds(d.Latency.BlueMedian))
	}
	for _, p := range d.Predictions {
		if p.Alarm {
			return fmt.Sprintf("%s predicts something else than before: distance %.3f", p.Model, p.Distance)
		}
	}
	return ""
}

// String is the decision in one line, for a person.
func (d Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %% at %s of %s, look %d: %s", d.Weight, seconds(d.Elapsed), seconds(d.Window), d.Look, d.Verdict)
	if d.Reason != "" {
		fmt.Fprintf(&b, ", %s", d.Reason)
	}
	fmt.Fprintf(&b, " | errors: green %s (%d/%d)", rate(d.Guard.Errors, d.Guard.Requests), d.Guard.Errors, d.Guard.Requests)
	if t := d.Errors; t != nil {
		fmt.Fprintf(&b, ", blue %s (%d/%d), p %.2g of %.2g, spent %.2g",
			rate(t.Window.BlueErrors, t.Window.BlueRequests), t.Window.BlueErrors, t.Window.BlueRequests, t.P, t.Alpha, t.Spent)
	}
	fmt.Fprintf(&b, "; limit %s, p %.2g of %.2g", percent(d.Guard.Limit), d.Guard.P, d.Guard.Alpha)
	if t := d.Latency; t != nil && t.GreenMedian > 0 {
		fmt.Fprintf(&b, " | latency: green %s, blue %s, p %.2g of %.2g", milliseconds(t.GreenMedian), milliseconds(t.BlueMedian), t.P, t.Alpha)
	}
	for _, t := range d.Predictions {
		if t.Green > 0 && t.Distance > 0 {
			fmt.Fprintf(&b, " | %s: distance %.3f (floor %.2g, chance %.2g)", t.Model, t.Distance, t.Floor, t.Chance)
		}
	}
	if len(d.Waits) > 0 {
		fmt.Fprintf(&b, " | waits for %s", strings.Join(d.Waits, ", "))
	}
	return b.String()
}

func rate(errors, requests int64) string {
	if requests == 0 {
		return "none"
	}
	return percent(float64(errors) / float64(requests))
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func milliseconds(s float64) string { return fmt.Sprintf("%.3g ms", 1000*s) }

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}
