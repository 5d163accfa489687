package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A verification compares the real keys of the records whose hashes are equal.
type verification struct {
	spec     *keySpec
	suspects []*suspects
	keep     int
	seen     map[string]int64 // the latest record of each key
	repeats  int64
	first    []repeat // the first ones by their row
	before   int      // how many of first are of earlier parts of the spill
	spill    *spill   // nil if all fits into the memory
}

// A keyed record is one whose key is compared.
type keyed struct {
	number int64
	key    []byte
}

// A repeat is a record whose key an earlier one has, too.
type repeat struct{ number, earlier int64 }

// verifyKeys reads the file again, if there are equal hashes. Good files have none.
func (f *file) verifyKeys(ctx context.Context) (all []*verification, err error) {
	var primary *suspects
	most := int64(0)
	for _, k := range f.plan.keys {
		s, err := k.suspect(ctx, f)
		if err != nil {
			return nil, err
		}
		v := &verification{spec: k, suspects: []*suspects{s}, keep: f.options.Keep, seen: map[string]int64{}}
		all = append(all, v)
		if k.rule == RulePrimaryKey {
			primary = s
		}
		if k.rule == RuleDuplicates {
			v.suspects = append(v.suspects, primary)
		}
		most = max(most, v.count())
	}
	if most == 0 {
		return all, nil
	}
	room := f.options.Memory / 2 / int64(len(all)) // the other half is what the garbage collector lets lie
	for _, v := range all {
		// Half of the records at the most are the first ones of their key, and are kept.
		if need := v.count() / 2 * (mapped + f.result.Bytes/f.records); need > room {
			if v.spill, err = newSpill(f.options.Scratch, f.plan.seed, need, room); err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, v.spill.close()) }()
		}
	}
	if err := f.readSuspects(ctx, all); err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.spill != nil {
			if err := v.readSpill(ctx); err != nil {
				return nil, err
			}
		}
		v.seen = nil
	}
	return all, nil
}

// count of suspects.
func (v *verification) count() int64 {
	var n int64
	for _, s := range v.suspects {
		if s != nil {
			n += s.count
		}
	}
	return n
}

func (v *verification) has(number int64) bool {
	return v.suspects[0].has(number) || v.suspects[len(v.suspects)-1].has(number)
}

// readSuspects takes the keys of suspects in the file's order.
func (f *file) readSuspects(ctx context.Context, all []*verification) error {
	work := func(_ int, b *records.Block, from int) ([][]keyed, error) {
		made := make([][]keyed, len(all))
		var memory []byte
		for r := from; r < b.Records; r++ {
			number := f.blocks[b.Index].records + int64(r)
			for i, v := range all {
				if v.has(number) {
					start := len(memory)
					memory = v.spec.appendKey(memory, b, r)
					made[i] = append(made[i], keyed{number, memory[start:]})
				}
			}
		}
		return made, nil
	}
	merge := func(made [][]keyed) error {
		for i, v := range all {
			for _, k := range made[i] {
				if v.spill == nil {
					v.take(k)
				} else if err := v.spill.add(k); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return again(ctx, f, work, merge)
}

// take the next record.
func (v *verification) take(k keyed) {
	earlier, ok := v.seen[string(k.key)]
	v.seen[string(k.key)] = k.number
	if !ok {
		return
	}
	if v.repeats++; len(v.first) < v.before+v.keep {
		v.first = append(v.first, repeat{k.number, earlier})
	}
}

// readSpill takes the records part by part; equal keys are in the same one, and in the file's order.
func (v *verification) readSpill(ctx context.Context) error {
	for part := range v.spill.parts {
		clear(v.seen)
		v.before = len(v.first)
		if err := v.spill.read(ctx, part, v.take); err != nil {
			return err
		}
		slices.SortFunc(v.first, func(a, b repeat) int { return cmp.Compare(a.number, b.number) })
		v.first = slices.Clone(v.first[:min(v.keep, len(v.first))])
	}
	return nil
}

// judgeKeys makes findings of repeated keys. They know their rows only by number.
func (f *file) judgeKeys(ctx context.Context) error {
	all, err := f.verifyKeys(ctx)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.spec.rule == RuleDuplicates && !f.duplicatesExceed(v) {
			continue
		}
		f.findings.counts[about{v.spec.rule, v.spec.name}] += v.repeats
		for _, r := range v.first {
			f.late = append(f.late, v.spec.late(r))
		}
	}
	return nil
}

// duplicatesExceed measures the share of rows that equal an earlier one.
func (f *file) duplicatesExceed(v *verification) bool {
	share, limit := float64(v.repeats)/float64(max(f.records, 1)), f.contract.Quality.MaxDuplicateShare
	f.measure(Measure{Name: "duplicate_share", Value: share, Limit: limit})
	return share > limit
}

func (k *keySpec) late(r repeat) *late {
	l := &late{
		Finding: Finding{Rule: k.rule, Column: k.name, Field: position(k.columns)},
		number:  r.number, other: r.earlier, columns: k.columns,
	}
	what := "key"
	switch k.rule {
	case RuleUnique:
		what = "value"
		l.Help = "remove one of the two rows, or correct the value"
	case RuleDuplicates:
		l.whole = true
		l.message = func(_ *Finding, other int64) string { return fmt.Sprintf("the row equals row %d in every cell", other) }
		l.Help = "remove one of the two rows"
		return l
	default:
		l.Help = "remove one of the two rows, or correct the key"
	}
	l.message = func(f *Finding, other int64) string {
		return fmt.Sprintf("%q is the %s of row %d, too", f.Value, what, other)
	}
	return l
}
