package benchmark

import (
	"math"
	"testing"
	"time"
)

const (
	statBefore = "cpu  1000 200 300 5000 50 0 30 20 7 0\ncpu0 500 100 150 2500 25 0 15 10 3 0\n"
	statAfter  = "cpu  1100 240 330 5100 60 0 40 30 9 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n"
)

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte(statBefore))
	if want := (account{worked: 1530, steal: 20, total: 6600}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v: a guest's time is in user's already", got, err, want)
	}
	for _, torn := range []string{"", "cpu", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2 3 4 5 6 7\n", "cpu 1 2 3 four 5 6 7 8\n", "intr 1 2 3 4 5 6 7 8 9\n"} {
		if a, err := parseStat([]byte(torn)); err == nil {
			t.Errorf("%q is %+v", torn, a)
		}
	}
}

func TestBusy(t *testing.T) {
	before, err := parseStat([]byte(statBefore))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseStat([]byte(statAfter))
	if err != nil {
		t.Fatal(err)
	}
	// 300 ticks went by: 180 worked, 10 stolen.
	for _, tc := range []struct {
		name          string
		own           time.Duration
		others, steal float64
	}{
		{"all of it others'", 0, 180. / 300, 10. / 300},
		{"half of it own", 900 * time.Millisecond, 90. / 300, 10. / 300},
		{"all of it own", 1800 * time.Millisecond, 0, 10. / 300},
		{"more own than there was, by a tick that was not counted yet", 1810 * time.Millisecond, 0, 10. / 300},
	} {
		after.own = before.own + tc.own
		got, err := after.since(before)
		if err != nil || math.Abs(got.Others-tc.others) > 1e-9 || math.Abs(got.Steal-tc.steal) > 1e-9 {
			t.Errorf("%s: %+v, %v, want %v and %v", tc.name, got, err, tc.others, tc.steal)
		}
	}
	if _, err := before.since(before); err == nil {
		t.Error("nothing can be told of no time")
	}
}

func TestReadAccount(t *testing.T) {
	before, err := readAccount()
	if err != nil {
		t.Skip("this system does not say how busy it is: ", err)
	}
	if after, err := readAccount(); err != nil || after.total < before.total || after.own < before.own {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
}
