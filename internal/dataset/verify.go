package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A verification compares the real keys of the records whose hashes are equal.
type verification struct {
	spec     *keySpec
	suspects []*suspects
	found    []keyed
	repeats  int64
	first    []repeat // the first ones by their row
}

// A keyed record is one whose key is compared.
type keyed struct {
	hash   uint64
	number int64
	key    []byte
}

// A repeat is a record whose key an earlier one has, too.
type repeat struct{ number, earlier int64 }

// verifyKeys reads the file again, if there are equal hashes: as often as it takes for the keys of their records to fit in
// the memory. Good files have none.
func (f *file) verifyKeys(ctx context.Context) ([]*verification, error) {
	var all []*verification
	var primary *suspects
	most := int64(0)
	for _, k := range f.plan.keys {
		s, err := k.suspect(ctx, f)
		if err != nil {
			return nil, err
		}
		v := &verification{spec: k, suspects: []*suspects{s}}
		all = append(all, v)
		if k.rule == RulePrimaryKey {
			primary = s
		}
		if k.rule == RuleDuplicates {
			v.suspects = append(v.suspects, primary)
		}
		for _, s := range v.suspects {
			if s != nil {
				most = max(most, s.count)
			}
		}
	}
	if most == 0 {
		return all, nil
	}
	perRecord := 128 + f.result.Bytes/f.records
	passes := uint64(most*perRecord*int64(len(all))/f.options.Memory + 1) //nolint:gosec // not negative
	for pass := range passes {
		if err := f.verifyPass(ctx, all, pass, passes); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// verifyPass compares the keys of one part of all hashes.
func (f *file) verifyPass(ctx context.Context, all []*verification, pass, passes uint64) error {
	work := func(_ int, b *records.Block, from int) ([][]keyed, error) {
		made := make([][]keyed, len(all))
		for r := from; r < b.Records; r++ {
			number := f.blocks[b.Index].records + int64(r)
			for i, v := range all {
				if !v.suspects[0].has(number) && !v.suspects[len(v.suspects)-1].has(number) {
					continue
				}
				key := v.spec.appendKey(nil, b, r)
				if hash := maphash.Bytes(f.plan.seed, key); hash%passes == pass {
					made[i] = append(made[i], keyed{hash, number, key})
				}
			}
		}
		return made, nil
	}
	merge := func(made [][]keyed) error {
		for i, v := range all {
			v.found = append(v.found, made[i]...)
		}
		return nil
	}
	if err := again(ctx, f, work, merge); err != nil {
		return err
	}
	for _, v := range all {
		v.compare(f.options.Keep)
	}
	return nil
}

// compare the keys of a pass, and keep the first repeats.
func (v *verification) compare(keep int) {
	slices.SortFunc(v.found, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.key, b.key), cmp.Compare(a.number, b.number))
	})
	for i := 1; i < len(v.found); i++ {
		if bytes.Equal(v.found[i].key, v.found[i-1].key) {
			v.repeats++
			v.first = append(v.first, repeat{v.found[i].number, v.found[i-1].number})
		}
	}
	slices.SortFunc(v.first, func(a, b repeat) int { return cmp.Compare(a.number, b.number) })
	v.first = slices.Clone(v.first[:min(keep, len(v.first))])
	v.found = nil
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
