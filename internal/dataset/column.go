package dataset

import (
	"math"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// judgeColumn reads the cells of one column of the chunk and checks them.
func (w *worker) judgeColumn(c *column, v *vectors) {
	v.odd = 0
	clear(v.state[:w.rows])
	w.gather(c, v)
	switch c.kind {
	case cell.Float:
		v.odd = c.parser.Floats(&v.cells, v.numbers[:w.rows], v.state)
	case cell.Time:
		v.odd = c.parser.Times(&v.cells, v.micros[:w.rows], v.state)
		for i, micros := range v.micros[:w.rows] {
			v.numbers[i] = float64(micros) / 1e6
		}
	default:
		w.readTexts(c, v)
	}
	if v.odd > 0 {
		w.judgeOdd(c, v)
	}
	switch c.kind {
	case cell.Float:
		w.judgeFloats(c, v)
	case cell.Time:
		w.judgeTimes(c, v)
	default:
		w.judgeTexts(c, v)
	}
	w.hashColumn(c, v)
	for i := range c.shares {
		w.columns[c.index].shares[i] += w.countShare(c, v, &c.shares[i])
	}
}

func (w *worker) readTexts(c *column, v *vectors) {
	data := w.block.Data
	start, end := v.start[:w.rows], v.end[:w.rows]
	anything := c.parser.Anything()
	for i, s := range start {
		e := end[i]
		switch {
		case s > e || c.parser.Missing(data[s:e]):
			v.state[i] = cell.Missing
			v.odd++
		case !anything && !c.parser.Valid(data[s:e]):
			v.state[i] = cell.Wrong
			v.odd++
		}
	}
}

// judgeOdd tells of the cells that hold no value.
func (w *worker) judgeOdd(c *column, v *vectors) {
	t := &w.columns[c.index]
	for i := range w.rows {
		switch v.state[i] {
		case cell.Missing:
			t.nulls++
			t.firstNull = min(t.firstNull, w.order(i))
			if !w.isBlankRow(i) {
				w.judgeMissing(c, v, i)
			}
		case cell.Wrong:
			t.wrong++
			if w.part.findings.count(RuleType, c.field.Name) {
				w.add(c, v, i, RuleType, "is no "+typeName(c.field), "correct the value, or the type in the contract")
			}
		default:
			continue
		}
		switch c.kind {
		case cell.Time:
			v.numbers[i] = math.NaN()
		case cell.Text:
			v.start[i], v.end[i] = 1, 0
		case cell.Float:
		}
	}
}

func (w *worker) judgeMissing(c *column, v *vectors, i int) {
	if c.index >= w.block.Cells(w.from+i) && w.part.findings.count(RuleMissingCell, c.field.Name) {
		found := w.found(RuleMissingCell, i)
		found.Column, found.Field = c.field.Name, c.index+1
		found.Message = "the row ends before this cell"
		found.Help = "give each row as many cells as the header has; see that a delimiter within a cell is quoted"
		w.part.findings.add(found)
	}
	if c.field.Required && w.part.findings.count(RuleRequired, c.field.Name) {
		found := w.found(RuleRequired, i)
		found.Column, found.Field = c.field.Name, c.index+1
		if v.cells.Has(i) {
			found.Value = shown(v.cells.Cell(i))
		}
		found.Message = "has no value, and the field is required"
		found.Help = "fill the value in, or remove the row"
		w.part.findings.add(found)
	}
}

// add a finding about the value of one cell, which was counted already. The message goes on after the value.
func (w *worker) add(c *column, v *vectors, i int, rule, message, help string) {
	found := w.found(rule, i)
	found.Column, found.Field = c.field.Name, c.index+1
	found.Value = shown(v.cells.Cell(i))
	found.Message, found.Help = `"`+found.Value+`" `+message, help
	w.part.findings.add(found)
}

// typeName is a type and its format, as a person would say it.
func typeName(f *contract.Field) string {
	if f.Format == "" || f.Format == "default" {
		return string(f.Type)
	}
	return string(f.Type) + " of the format " + f.Format
}

func (w *worker) countShare(c *column, v *vectors, s *share) int64 {
	var n int64
	for i := range w.rows {
		var equal bool
		switch {
		case v.state[i] != cell.Present:
		case c.kind == cell.Float:
			equal = v.numbers[i] == s.number
		case c.kind == cell.Time:
			equal = v.micros[i] == s.micros
		default:
			equal = string(v.cells.Cell(i)) == string(s.text)
		}
		if equal {
			n++
		}
	}
	return n
}

// judgeExtraCells tells of cells beyond the last column.
func (w *worker) judgeExtraCells() {
	for i := range w.rows {
		cells := w.block.Cells(w.from + i)
		if cells <= w.plan.width || w.isBlankRow(i) {
			continue
		}
		for c := w.plan.width; c < cells; c++ {
			if !w.part.findings.count(RuleExtraCell, "") {
				continue
			}
			found := w.found(RuleExtraCell, i)
			found.Field = c + 1
			found.Value = shown(w.block.Cell(w.from+i, c))
			found.Message = "the row has a cell more than there are columns"
			found.Help = "give each row as many cells as the header has; see that a delimiter within a cell is quoted"
			w.part.findings.add(found)
		}
	}
}
