package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A late finding became known when its row had long gone by: the file is read once more to tell row, line and value.
type late struct {
	Finding
	number  int64 // of the record, from 0
	other   int64 // of the record that the message names, or -1
	columns []*column
	whole   bool // the value is the whole row
	// message is told the row of the other record.
	message func(f *Finding, other int64) string

	otherRow int64
}

// A lookup is a record that a late finding asks for.
type lookup struct {
	number int64
	found  func(b *records.Block, record int, row, line int64)
}

// errEnough ends a pass before the end of the file.
var errEnough = errors.New("enough")

// locate fills in what late findings don't know, and adds them.
func (f *file) locate(ctx context.Context) error {
	if len(f.late) == 0 {
		return nil
	}
	var wanted []lookup
	for _, l := range f.late {
		wanted = append(wanted, lookup{l.number, l.fill})
		if l.other >= 0 {
			wanted = append(wanted, lookup{l.other, func(_ *records.Block, _ int, row, _ int64) { l.otherRow = row }})
		}
	}
	slices.SortStableFunc(wanted, func(a, b lookup) int { return cmp.Compare(a.number, b.number) })
	last := wanted[len(wanted)-1].number
	work := func(_ int, b *records.Block, from int) (int64, error) {
		base := f.blocks[b.Index]
		i, _ := slices.BinarySearchFunc(wanted, base.records+int64(from), func(w lookup, n int64) int { return cmp.Compare(w.number, n) })
		for ; i < len(wanted) && wanted[i].number < base.records+int64(b.Records); i++ {
			record := int(wanted[i].number - base.records)
			wanted[i].found(b, record, base.rows+int64(b.Row(record))+1, base.lines+int64(b.Line(record))+1)
		}
		return base.records + int64(b.Records), nil
	}
	merge := func(end int64) error {
		if end > last {
			return errEnough
		}
		return nil
	}
	if err := again(ctx, f, work, merge); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	for _, l := range f.late {
		if l.message != nil {
			l.Message = l.message(&l.Finding, l.otherRow)
		}
		f.findings.add(l.Finding)
	}
	return nil
}

func (l *late) fill(b *records.Block, record int, row, line int64) {
	l.Row, l.Line = row, line
	var cells [][]byte
	for _, c := range l.columns {
		if c.index < b.Cells(record) {
			cells = append(cells, b.Cell(record, c.index))
		}
	}
	if l.columns == nil && l.whole {
		for i := range b.Cells(record) {
			cells = append(cells, b.Cell(record, i))
		}
	}
	l.Value = shown(bytes.Join(cells, []byte(", ")))
}
