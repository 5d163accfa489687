package dataset

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
)

// Remedies of constraints.
const (
	helpRange = "correct the value, or the bound in the contract"
	helpValue = "correct the value, or the constraint in the contract"
)

// judgeFloats checks bounds and the enum, and adds to the profile.
func (w *worker) judgeFloats(c *column, v *vectors) {
	numbers := v.numbers[:w.rows]
	w.columns[c.index].addNumbers(numbers)
	if c.lowCell != nil || c.highCell != nil {
		low, high, short := c.low, c.high, c.shortBounds
		for i, number := range numbers {
			if low <= number && number <= high && (short && cell.Short(v.cells.Cell(i)) || low < number && number < high) {
				continue
			}
			if v.state[i] == cell.Present {
				w.judgeBounds(c, v, i)
			}
		}
	}
	w.judgeEnum(c, v)
}

// judgeBounds looks closer at a number that is not well within the bounds: it may be equal to one of them, or differ from
// it in a digit that float64 does not hold. NaN is within none.
func (w *worker) judgeBounds(c *column, v *vectors, i int) {
	text := v.cells.Cell(i)
	if c.lowCell != nil && c.beyond(text, c.lowCell, -1) {
		w.outside(c, v, i, RuleMinimum)
	}
	if c.highCell != nil && c.beyond(text, c.highCell, 1) {
		w.outside(c, v, i, RuleMaximum)
	}
}

// beyond says whether a number is on that side of a bound.
func (c *column) beyond(text, bound []byte, side int) bool {
	order, ok := c.parser.Compare(text, bound)
	return !ok || order*side > 0
}

func (w *worker) outside(c *column, v *vectors, i int, rule string) {
	if !w.part.findings.count(rule, c.field.Name) {
		return
	}
	if rule == RuleMinimum {
		w.add(c, v, i, rule, "is less than the minimum "+c.field.Minimum, helpRange)
	} else {
		w.add(c, v, i, rule, "is more than the maximum "+c.field.Maximum, helpRange)
	}
}

// judgeTimes checks bounds and the enum, adds to the profile and looks for the latest.
func (w *worker) judgeTimes(c *column, v *vectors) {
	t := &w.columns[c.index]
	t.addNumbers(v.numbers[:w.rows])
	for i, micros := range v.micros[:w.rows] {
		if v.state[i] != cell.Present {
			continue
		}
		if micros < c.earliest {
			w.outside(c, v, i, RuleMinimum)
		}
		if micros > c.latest {
			w.outside(c, v, i, RuleMaximum)
		}
		if micros > t.latest || micros == t.latest && w.order(i) < t.latestOrder {
			t.latest, t.latestOrder = micros, w.order(i)
		}
	}
	w.judgeEnum(c, v)
}

func (w *worker) judgeTexts(c *column, v *vectors) {
	w.columns[c.index].profile.Texts(w.block.Data, v.start[:w.rows], v.end[:w.rows])
	w.judgeEnum(c, v)
	if c.pattern == nil && c.field.MinLength < 0 && c.field.MaxLength < 0 {
		return
	}
	for i := range w.rows {
		if v.state[i] != cell.Present {
			continue
		}
		text := v.cells.Cell(i)
		w.judgeLength(c, v, i, text)
		if c.pattern != nil && !c.pattern.Match(text) && w.part.findings.count(RulePattern, c.field.Name) {
			w.add(c, v, i, RulePattern, "does not match the pattern "+c.field.Pattern, helpValue)
		}
	}
}

func (w *worker) judgeLength(c *column, v *vectors, i int, text []byte) {
	least, most := c.field.MinLength, c.field.MaxLength
	// A text has at most as many characters as bytes, and at least a quarter as many.
	if (most < 0 || len(text) <= most) && (least < 0 || len(text) >= least*utf8.UTFMax) && c.field.Type == "string" {
		return
	}
	n := c.parser.Elements(text)
	if n < least && w.part.findings.count(RuleMinLength, c.field.Name) {
		w.add(c, v, i, RuleMinLength, "has length "+strconv.Itoa(n)+", at least "+strconv.Itoa(least)+" is asked for", helpValue)
	}
	if most >= 0 && n > most && w.part.findings.count(RuleMaxLength, c.field.Name) {
		w.add(c, v, i, RuleMaxLength, "has length "+strconv.Itoa(n)+", at most "+strconv.Itoa(most)+" is asked for", helpValue)
	}
}

// judgeEnum compares canonical forms, so that 1.0 is in an enum that has 1. Of neighbours that are the same text only
// the first is looked up.
func (w *worker) judgeEnum(c *column, v *vectors) {
	if c.enum == nil {
		return
	}
	var before []byte
	var known bool
	for i := range w.rows {
		if v.state[i] != cell.Present {
			continue
		}
		text := v.cells.Cell(i)
		if before == nil || string(text) != string(before) {
			w.canonical = c.parser.AppendKey(w.canonical[:0], text)
			known, before = c.enum[string(w.canonical)], text
		}
		if !known && w.part.findings.count(RuleEnum, c.field.Name) {
			w.add(c, v, i, RuleEnum, "is none of "+listed(c.field.Enum), helpValue)
		}
	}
}

// mostListed bounds how many values of an enum a message names.
const mostListed = 8

func listed(values []string) string {
	if len(values) <= mostListed {
		return strings.Join(values, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(values[:mostListed], ", "), len(values)-mostListed)
}
