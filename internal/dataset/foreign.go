package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A foreignKey is fields whose values must be a row of another file.
type foreignKey struct {
	columns []*column
	name    string
	to      string          // resource and fields, for a person
	keys    map[string]bool // canonical, of the other file
}

// bytes that a key takes in a map besides its own.
const mapped = 64

// openForeign reads the files that foreign keys refer to.
func (f *file) openForeign(ctx context.Context) error {
	room := f.options.Memory
	for i := range f.contract.Schema.ForeignKeys {
		key := &f.contract.Schema.ForeignKeys[i]
		columns, err := f.plan.find("foreignKeys", key.Fields)
		if err != nil {
			return err
		}
		if !f.plan.has(columns...) {
			continue
		}
		made := &foreignKey{columns: columns, name: joined(columns)}
		if made.keys, err = f.readKeys(ctx, key, &room); err != nil {
			return fmt.Errorf("foreign key (%s) of %s: %w", made.name, f.contract.File, err)
		}
		made.to = strings.Join(key.ReferenceFields, ", ")
		if key.Resource != "" {
			made.to += " of " + key.Resource
		}
		for _, c := range columns {
			f.plan.needed[c.index] = true
		}
		f.plan.foreign = append(f.plan.foreign, made)
	}
	return nil
}

// readKeys reads the canonical keys of the file that is referred to.
func (f *file) readKeys(ctx context.Context, key *contract.ForeignKey, room *int64) (map[string]bool, error) {
	other, path := f.contract, f.path
	if key.Resource != "" {
		if f.options.Open == nil {
			return nil, fmt.Errorf("there is no way to find %q", key.Resource)
		}
		var err error
		if other, path, err = f.options.Open(key.Resource); err != nil {
			return nil, err
		}
	}
	p, err := newPlan(other)
	if err != nil {
		return nil, err
	}
	columns, err := p.find("referred to", key.ReferenceFields)
	if err != nil {
		return nil, err
	}
	o := *f.options
	o.Progress = nil
	s, err := openStream(ctx, path, other, &o)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	merge := func(made []string) error {
		for _, key := range made {
			if !all[key] {
				all[key] = true
				*room -= int64(len(key)) + mapped
			}
		}
		if *room < 0 {
			return fmt.Errorf("the keys of %s take more than the %d bytes of memory that there are for keys", path, f.options.Memory)
		}
		return nil
	}
	work := func(_ int, b *records.Block, from int) ([]string, error) { return referred(columns, b, from), nil }
	return all, errors.Join(each(ctx, s, f.options.Workers, work, merge), s.close())
}

// referred lists the canonical keys of a block, but those that are like the one before.
func referred(columns []*column, b *records.Block, from int) []string {
	var list []string
	var key []byte
	for r := from; r < b.Records; r++ {
		key = key[:0]
		for _, c := range columns {
			if c.index >= b.Cells(r) || c.parser.Missing(b.Cell(r, c.index)) || !c.parser.Valid(b.Cell(r, c.index)) {
				key = append(key, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			key = appendSized(key, func(dst []byte) []byte { return c.parser.AppendKey(dst, b.Cell(r, c.index)) })
		}
		if len(list) == 0 || list[len(list)-1] != string(key) {
			list = append(list, string(key))
		}
	}
	return list
}

// appendSized writes a part of a key behind its length, so that ("a", "bc") is not ("ab", "c").
func appendSized(dst []byte, part func([]byte) []byte) []byte {
	start := len(dst)
	dst = part(append(dst, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4)) //nolint:gosec // a record is at most 16 MiB
	return dst
}

// judgeForeign looks the chunk's keys up. A key of which no part has a value refers to nothing, as in frictionless; one
// with a part that is wrong was told already.
func (w *worker) judgeForeign() {
	for _, k := range w.plan.foreign {
		var before []byte
		known := true
		for i := range w.rows {
			if !w.refers(k, i) {
				continue
			}
			key := w.canonical[:0]
			for _, c := range k.columns {
				key = w.appendPart(key, c, i)
			}
			w.canonical = key
			if before == nil || string(before) != string(key) {
				before = append(before[:0], key...)
				known = k.keys[string(key)]
			}
			if !known && w.part.findings.count(RuleForeignKey, k.name) {
				w.addForeign(k, i)
			}
		}
	}
}

func (w *worker) refers(k *foreignKey, i int) bool {
	refers := false
	for _, c := range k.columns {
		switch w.own[c.index].state[i] {
		case cell.Present:
			refers = true
		case cell.Wrong:
			return false
		}
	}
	return refers
}

func (w *worker) addForeign(k *foreignKey, i int) {
	found := w.found(RuleForeignKey, i)
	found.Column, found.Field = k.name, position(k.columns)
	var cells [][]byte
	for _, c := range k.columns {
		if c.index < w.block.Cells(w.from+i) {
			cells = append(cells, w.block.Cell(w.from+i, c.index))
		}
	}
	found.Value = shownAll(cells)
	found.Message = `"` + found.Value + `" is not among ` + k.to
	found.Help = "add the row that it refers to, or correct the value"
	w.part.findings.add(found)
}
