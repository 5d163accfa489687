package dataset

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/keys"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A keySpec is something that no two rows may share: the primary key, a unique field, or the whole row.
type keySpec struct {
	rule    string
	name    string    // of its columns
	columns []*column // in the contract's order; none for the whole row
	sorter  *keys.Sorter
}

func (p *plan) addKeys() {
	schema := &p.contract.Schema
	if columns, err := p.find("primaryKey", schema.PrimaryKey); err == nil && len(columns) > 0 {
		p.keys = append(p.keys, &keySpec{rule: RulePrimaryKey, name: joined(columns), columns: columns})
	}
	for _, c := range p.columns {
		if c.field.Unique {
			p.keys = append(p.keys, &keySpec{rule: RuleUnique, name: c.field.Name, columns: []*column{c}})
		}
	}
	if p.contract.Quality.MaxDuplicateShare >= 0 {
		p.keys = append(p.keys, &keySpec{rule: RuleDuplicates})
	}
}

// openKeys takes the keys that the file has and makes their sorters, which share the memory.
func (p *plan) openKeys(scratch string, memory int64) {
	p.keys = slices.DeleteFunc(p.keys, func(k *keySpec) bool { return !p.has(k.columns...) })
	for _, k := range p.keys {
		k.sorter = keys.New(scratch, memory/int64(len(p.keys)))
	}
}

func (p *plan) closeKeys() error {
	var all []error
	for _, k := range p.keys {
		if k.sorter != nil {
			all = append(all, k.sorter.Close())
		}
	}
	if p.series != nil {
		all = append(all, p.series.sorter.Close())
	}
	return errors.Join(all...)
}

// primary is the primary key, or nil.
func (p *plan) primary() *keySpec {
	if len(p.keys) > 0 && p.keys[0].rule == RulePrimaryKey {
		return p.keys[0]
	}
	return nil
}

// hashColumn mixes the column's values into the hashes of the keys that it is part of. Equal values have equal hashes;
// that equal hashes are equal values is verified in another pass.
func (w *worker) hashColumn(c *column, v *vectors) {
	for k, spec := range w.plan.keys {
		if !slices.Contains(spec.columns, c) {
			continue
		}
		h := w.hashes[k]
		switch c.kind {
		case cell.Float:
			for i, number := range v.numbers[:w.rows] {
				h.value[i] = mix(h.value[i], math.Float64bits(number+0)) // -0 is 0
			}
		case cell.Time:
			for i, micros := range v.micros[:w.rows] {
				h.value[i] = mix(h.value[i], uint64(micros)) //nolint:gosec // the bits are meant
			}
		default:
			for i := range w.rows {
				if v.state[i] == cell.Present {
					h.value[i] = mix(h.value[i], maphash.Bytes(w.plan.seed, v.cells.Cell(i)))
				}
			}
		}
		for i := 0; v.odd > 0 && i < w.rows; i++ {
			if v.state[i] != cell.Present {
				h.valid[i] = false
			}
		}
	}
}

// judgeMissingKey tells of a primary key without a value, unless the field is required and it was told as that.
func (w *worker) judgeMissingKey(k *keySpec, i int) {
	if w.isBlankRow(i) {
		return
	}
	for _, c := range k.columns {
		if c.field.Required || !w.isMissing(c, i) {
			continue
		}
		if w.part.findings.count(k.rule, k.name) {
			found := w.found(k.rule, i)
			found.Column, found.Field = k.name, c.index+1
			found.Message = c.field.Name + " has no value, and it is part of the primary key"
			found.Help = "fill the value in, or remove the row"
			w.part.findings.add(found)
		}
		return
	}
}

func (w *worker) isMissing(c *column, i int) bool {
	return c.index >= w.block.Cells(w.from+i) || c.parser.Missing(w.block.Cell(w.from+i, c.index))
}

// addKeys hands the chunk's hashes over. Where there is a primary key, rows with equal cells have equal keys, so that only
// rows without a valid key are compared as a whole.
func (w *worker) addKeys() error {
	primary := w.plan.primary()
	for k, spec := range w.plan.keys {
		h := w.hashes[k]
		if spec.columns == nil {
			for i := range w.rows {
				h.valid[i] = primary == nil || !w.hashes[0].valid[i]
				if h.valid[i] {
					h.value[i] = w.hashRow(i)
				}
			}
		}
		for i := range w.rows {
			if !h.valid[i] {
				if spec.rule == RulePrimaryKey {
					w.judgeMissingKey(spec, i)
				}
				continue
			}
			if err := w.writers[k].Add(h.value[i], w.order(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashRow is the same for rows of equal cells, however they are quoted.
func (w *worker) hashRow(i int) uint64 {
	b := w.block
	first, last := b.First[w.from+i], b.First[w.from+i+1]
	for at := first; at+1 < last; at++ {
		if b.Start[at+1] != b.End[at]+1 {
			w.canonical = w.canonical[:0]
			for ; first < last; first++ {
				w.canonical = append(append(w.canonical, b.Data[b.Start[first]:b.End[first]]...), w.plan.contract.Dialect.Delimiter)
			}
			return maphash.Bytes(w.plan.seed, w.canonical[:len(w.canonical)-1])
		}
	}
	return maphash.Bytes(w.plan.seed, b.Data[b.Start[first]:b.End[last-1]])
}

// appendKey writes the canonical form of a record's key, its parts told apart by their lengths. It is asked only for
// records with a valid key.
func (k *keySpec) appendKey(dst []byte, b *records.Block, record int) []byte {
	cells := b.Cells(record)
	if k.columns != nil {
		cells = len(k.columns)
	}
	for n := range cells {
		dst = appendSized(dst, func(dst []byte) []byte {
			if k.columns == nil {
				return append(dst, b.Cell(record, n)...)
			}
			return k.columns[n].parser.AppendKey(dst, b.Cell(record, k.columns[n].index))
		})
	}
	return dst
}

// suspects are the records whose hash is that of another one.
type suspects struct {
	bits  []uint64 // by the record's number, from 0
	count int64
}

func (s *suspects) add(n int64) {
	if s.bits[n/64]>>(n%64)&1 == 0 {
		s.bits[n/64] |= 1 << (n % 64)
		s.count++
	}
}

func (s *suspects) has(n int64) bool { return s != nil && s.bits[n/64]>>(n%64)&1 != 0 }

// suspect finds the records whose hashes are equal, or nil if there are none.
func (k *keySpec) suspect(ctx context.Context, f *file) (*suspects, error) {
	var s *suspects
	for record, err := range k.sorter.Repeated(ctx) {
		if err != nil {
			return nil, err
		}
		if s == nil {
			s = &suspects{bits: make([]uint64, f.records/64+1)}
		}
		s.add(f.number(record.Row))
	}
	return s, k.sorter.Close() // its memory is needed
}
