package benchmark

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/retry"
)

// meter is a gauge for tests: before and after each repetition the cores have done 1000 ticks, others that share of it.
type meter struct {
	shares []float64
	read   int
	now    account
}

func (m *meter) gauge() (account, error) {
	if m.read%2 == 1 {
		share := m.shares[min(m.read/2, len(m.shares)-1)]
		m.now.total += 1000
		m.now.worked += int64(1000*share) + 100
		m.now.own += 100 * tick
	}
	m.read++
	return m.now, nil
}

func noSleep(context.Context, time.Duration) error { return nil }

func TestRepeat(t *testing.T) {
	count := 0
	one := func(context.Context) ([]float64, error) { count++; return []float64{float64(count)}, nil }
	for _, tc := range []struct {
		name            string
		shares          []float64
		kept, disturbed int
		first           float64
		want            string
	}{
		{"quiet", []float64{0.01}, 3, 0, 1, ""},
		{"exactly what is allowed", []float64{0.2}, 3, 0, 1, ""},
		{"busy once", []float64{0.9, 0.01}, 3, 1, 2, ""},
		{"busy as often as may be", []float64{0.9, 0.5, 0.01}, 3, 2, 3, ""},
		{"busy for ever", []float64{0.01, 0.3, 0.9, 0.6}, 1, 3, 1, "in 3 of 4 repetitions others had 30 to 90 % of its cores' time (median 60 %, of that 0 % taken by its host), where 20 % is allowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			count = 0
			m := &meter{shares: tc.shares}
			p := plan{wanted: 3, retries: 2, busy: 0.2, gauge: m.gauge, sleep: noSleep}
			got, err := p.repeat(t.Context(), one)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if len(got.repetitions) != tc.kept || len(got.disturbed) != tc.disturbed || got.repetitions[0].Rounds[0] != tc.first {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestRepeatWithoutAGauge(t *testing.T) {
	broken := errors.New("no such file")
	p := plan{wanted: 2, gauge: func() (account, error) { return account{}, broken }, sleep: noSleep}
	m, err := p.repeat(t.Context(), func(context.Context) ([]float64, error) { return []float64{1}, nil })
	if err != nil || len(m.repetitions) != 2 || m.repetitions[0].Busy != nil || !errors.Is(m.unknown, broken) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestRepeatEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &meter{shares: []float64{1}}
	p := plan{wanted: 1, retries: 1000, gauge: m.gauge, sleep: retry.Sleep}
	_, err := p.repeat(ctx, func(context.Context) ([]float64, error) { cancel(); return []float64{1}, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{3}, 0.95, 3},
		{[]float64{2, 1}, 0.5, 1.5},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{4, 1, 3, 2}, 0, 1},
		{[]float64{4, 1, 3, 2}, 1, 4},
		{[]float64{1, 2, 3, 4, 5}, 0.95, 4.8}, // as numpy.percentile
	} {
		if got := quantile(tc.values, tc.q); got < tc.want-1e-12 || got > tc.want+1e-12 {
			t.Errorf("quantile %v of %v = %v, want %v", tc.q, tc.values, got, tc.want)
		}
	}
}
