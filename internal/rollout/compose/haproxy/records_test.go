package haproxy

import (
	"testing"
	"time"
)

// A proxy says in which second it began. Where that is the second of the last line before, its first line, whenever it
// comes, is no gap from there on.
func TestRestartInTheSecondOfTheLastLine(t *testing.T) {
	second := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := newRecords()
	r.compare(State{Began: second.Add(-time.Minute)})
	for n := range int64(5) {
		r.add(Line{Number: n, At: second.Add(300 * time.Millisecond), Server: "blue", Status: 200, End: "--"})
	}
	r.compare(State{Began: second})
	gaps := len(r.gaps)
	r.add(Line{Number: 0, At: second.Add(time.Minute), Server: "blue", Status: 200, End: "--"})
	if len(r.gaps) != gaps || gaps != 1 {
		t.Errorf("%d gaps, then %d: %v", gaps, len(r.gaps), r.gaps)
	}
}
