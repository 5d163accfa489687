package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Shots are requests in the order in which they were sent.
type Shots []Shot

// Failed are those without a right answer.
func (s Shots) Failed() Shots {
	var failed Shots
	for _, shot := range s {
		if shot.Fault != "" {
			failed = append(failed, shot)
		}
	}
	return failed
}

// Within are those that were sent from one time up to another.
func (s Shots) Within(from, to time.Time) Shots {
	at := func(t time.Time) int {
		n, _ := slices.BinarySearchFunc(s, t, func(a Shot, t time.Time) int { return a.At.Compare(t) })
		return n
	}
	return s[at(from):max(at(from), at(to))]
}

// Took is that quantile of the times of right answers; 0 if there are none.
func (s Shots) Took(quantile float64) time.Duration {
	var times []time.Duration
	for _, shot := range s {
		if shot.Fault == "" {
			times = append(times, shot.Took)
		}
	}
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(quantile*float64(len(times))))]
}

// Last is the last request that a release has answered rightly.
func (s Shots) Last(release string) (Shot, bool) {
	for _, shot := range slices.Backward(s) {
		if shot.From == release && shot.Fault == "" {
			return shot, true
		}
	}
	return Shot{}, false
}

// Faults say how often what went wrong, the commonest first: "12 × 503 Service Unavailable".
func (s Shots) Faults() string {
	count := map[string]int{}
	for _, shot := range s.Failed() {
		count[shot.Fault]++
	}
	kinds := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], strings.Compare(a, b))
	})
	var words []string
	for _, kind := range kinds[:min(len(kinds), 5)] {
		words = append(words, fmt.Sprintf("%d × %s", count[kind], kind))
	}
	if left := len(kinds) - len(words); left > 0 {
		words = append(words, fmt.Sprintf("%d other kinds", left))
	}
	return strings.Join(words, ", ")
}
