package benchmark

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// pause is how long a machine that was too busy is left alone before the next repetition.
const pause = 500 * time.Millisecond

// A Repetition is one process with its rounds: the unit of which repetitions are independent.
type Repetition struct {
	Rounds []float64 `json:"rounds"` // seconds, in order
	Busy   *Busy     `json:"busy"`   // null where it can't be told
}

// measured is what was seen of one thing.
type measured struct {
	repetitions []Repetition
	disturbed   []Busy // of the repetitions that did not count
	unknown     error  // why it can't be told how busy the machine was
}

// A plan says how often something is to be measured.
type plan struct {
	wanted  int
	retries int
	busy    float64 // share of the cores that others may have
	gauge   gauge
	sleep   func(context.Context, time.Duration) error
	step    func(done, total int)
}

// errBusy is for a machine that never got quiet: what was measured then says nothing about the code.
type errBusy struct {
	disturbed []Busy
	tried     int
	allowed   float64
}

func (e errBusy) Error() string {
	var shares, steal []float64
	for _, b := range e.disturbed {
		shares, steal = append(shares, 100*b.share()), append(steal, 100*b.Steal)
	}
	return fmt.Sprintf("the machine was too busy to measure: in %d of %s others had %.0f to %.0f %% of its cores' time (median %.0f %%, of that %.0f %% taken by its host), "+
		"where %.0f %% is allowed: end what runs beside it and try again, or raise benchmark.busy in pipeline.yaml",
		len(e.disturbed), python.Count(e.tried, "repetition"), slices.Min(shares), slices.Max(shares), quantile(shares, 0.5), quantile(steal, 0.5), 100*e.allowed)
}

// repeat measures until enough repetitions are in which the machine was quiet. The others don't count, and there are
// retries for them; they are used up by a machine that stays busy.
func (p plan) repeat(ctx context.Context, one func(context.Context) ([]float64, error)) (measured, error) {
	var m measured
	for len(m.repetitions) < p.wanted {
		if p.step != nil {
			p.step(len(m.repetitions), p.wanted)
		}
		before, unknown := p.gauge()
		rounds, err := one(ctx)
		if err != nil {
			return m, err
		}
		repetition := Repetition{Rounds: rounds}
		if unknown == nil {
			repetition.Busy, unknown = p.look(before)
		}
		m.unknown = unknown
		if repetition.Busy == nil || repetition.Busy.share() <= p.busy {
			m.repetitions = append(m.repetitions, repetition)
			continue
		}
		m.disturbed = append(m.disturbed, *repetition.Busy)
		if len(m.disturbed) > p.retries {
			return m, errBusy{m.disturbed, len(m.disturbed) + len(m.repetitions), p.busy}
		}
		if err := p.sleep(ctx, pause); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (p plan) look(before account) (*Busy, error) {
	after, err := p.gauge()
	if err != nil {
		return nil, err
	}
	busy, err := after.since(before)
	if err != nil {
		return nil, err
	}
	return &busy, nil
}

// rounds are those of all repetitions.
func (m measured) rounds() []float64 {
	var all []float64
	for _, r := range m.repetitions {
		all = append(all, r.Rounds...)
	}
	return all
}

// medians has one value for each repetition.
func (m measured) medians() []float64 {
	var all []float64
	for _, r := range m.repetitions {
		if len(r.Rounds) > 0 { // a server may have given no right answer
			all = append(all, quantile(r.Rounds, 0.5))
		}
	}
	return all
}

// quantile interpolates linearly between the two nearest of the values, as numpy does. It needs one at least.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
