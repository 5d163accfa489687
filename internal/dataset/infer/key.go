package infer

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// most rows for which keys are looked for: it takes 16 bytes for each row and candidate.
const most = 20_000_000

// isTime reports whether the column's values are points in time, by which rows can be told apart.
func (c *column) isTime() bool {
	return c.kind == contract.TypeDatetime || c.kind == contract.TypeDate || c.kind == contract.TypeTime
}

// candidates are the keys that the first pass left possible, the likeliest first: a column alone, a time with what it
// is measured for, a date with a time of day.
func (t *table) candidates() [][]*column {
	var all [][]*column
	for _, c := range t.columns {
		if c.unique && c.kind != contract.TypeNumber {
			all = append(all, []*column{c})
		}
	}
	for _, when := range t.columns {
		for _, what := range t.columns {
			label := what.kind == contract.TypeString || what.kind == contract.TypeInteger
			date := what.kind == contract.TypeDate && when.kind == contract.TypeTime
			if when.isTime() && when.missing == 0 && what.missing == 0 && (label && when.kind != contract.TypeTime || date) {
				all = append(all, []*column{what, when})
			}
		}
	}
	return all[:min(len(all), 12)]
}

// findKey reads the file again. Equal hashes count as equal keys: a guess may be wrong once in a million files.
func (t *table) findKey(ctx context.Context, file string) error {
	candidates := t.candidates()
	if len(candidates) == 0 || t.rows > most || t.ragged > 0 {
		return nil
	}
	seed := maphash.MakeSeed()
	seen := make([][]uint64, len(candidates))
	position := map[*column]int{}
	for i, c := range t.columns {
		position[c] = i
	}
	if err := t.each(ctx, file, func(b *records.Block, record int) {
		if b.Cells(record) != len(t.columns) {
			return
		}
		for k, key := range candidates {
			var h maphash.Hash
			h.SetSeed(seed)
			for _, c := range key {
				_, _ = h.Write(b.Cell(record, position[c])) // it never fails
				_ = h.WriteByte(0)
			}
			seen[k] = append(seen[k], h.Sum64())
		}
	}); err != nil {
		return err
	}
	for k, key := range candidates {
		slices.Sort(seen[k])
		if n := len(seen[k]); n > 0 && len(slices.Compact(seen[k])) == n {
			t.key = key
			return t.findInterval(ctx, file, position)
		}
	}
	return nil
}

// moment is one row's place in its series.
type moment struct {
	series uint64
	at     int64
}

// findInterval looks whether the rows of each series come in equal steps. The series is the rest of the key.
func (t *table) findInterval(ctx context.Context, file string, position map[*column]int) error {
	var times []*column
	t.series = nil
	for _, c := range t.key {
		if c.isTime() {
			times = append(times, c)
		} else {
			t.series = append(t.series, c)
		}
	}
	if len(times) == 0 || times[0].kind == contract.TypeTime {
		return nil
	}
	seed := maphash.MakeSeed()
	var moments []moment
	if err := t.each(ctx, file, func(b *records.Block, record int) {
		if b.Cells(record) != len(t.columns) {
			return
		}
		m := moment{}
		for _, c := range times {
			micros, _ := c.parser.Time(b.Cell(record, position[c]))
			m.at += micros
		}
		for _, c := range t.series {
			m.series = maphash.Bytes(seed, b.Cell(record, position[c]))
		}
		moments = append(moments, m)
	}); err != nil {
		return err
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.at, b.at)) })
	t.every, t.gaps = step(moments)
	return nil
}

// step is the distance of nearly all neighbours, and the share of steps that are absent.
func step(moments []moment) (every int64, gaps float64) {
	counts := map[int64]int{}
	n := 0
	for i := 1; i < len(moments); i++ {
		if moments[i].series == moments[i-1].series {
			counts[moments[i].at-moments[i-1].at]++
			n++
		}
	}
	for distance, count := range counts {
		if count*10 >= 9*n && distance > 0 {
			every = distance
		}
	}
	if every == 0 || every%1_000_000 != 0 || n < 10 {
		return 0, 0
	}
	var due int64
	for distance, count := range counts {
		due += (distance + every - 1) / every * int64(count)
	}
	return every, 1 - float64(n)/float64(max(due, int64(n)))
}
