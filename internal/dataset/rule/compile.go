package rule

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf8"
)

const day = 24 * 60 * 60

// compiler turns a checked tree into functions over vectors, and counts the vectors that they need.
type compiler struct{ rule *Rule }

func (c *compiler) numberSlot() int {
	c.rule.numbers++
	return c.rule.numbers - 1
}

func (c *compiler) truthSlot() int {
	c.rule.truths++
	return c.rule.truths - 1
}

// read notes that the rule needs a field.
func (c *compiler) read(field int) int {
	c.rule.fields = append(c.rule.fields, field)
	return field
}

// number compiles a node of kind Number or Time, or one of kind Boolean as 0 and 1.
func (c *compiler) number(n *node) numbers {
	if n.kind == Boolean && n.op != "field" {
		return c.zeroOrOne(c.truth(n), c.numberSlot())
	}
	switch n.op {
	case "number":
		return c.constant(n.number)
	case "field":
		field := c.read(n.field)
		return func(e *Evaluator, n int) []float64 { return e.columns[field].Numbers[e.from : e.from+n] }
	case "call":
		return c.call(n)
	default:
		left, right := c.number(n.args[0]), c.number(n.args[1])
		return arithmetic(n.op, left, right, c.numberSlot())
	}
}

func (c *compiler) zeroOrOne(of truths, slot int) numbers {
	return func(e *Evaluator, n int) []float64 {
		out := e.numbers[slot][:n]
		for i, t := range of(e, n) {
			out[i] = [...]float64{isFalse: 0, isUnknown: math.NaN(), isTrue: 1}[t]
		}
		return out
	}
}

// constant is a vector that the evaluator fills once. Its slot is known only when all scratch vectors are counted.
func (c *compiler) constant(value float64) numbers {
	at := len(c.rule.constants)
	c.rule.constants = append(c.rule.constants, value)
	return func(e *Evaluator, n int) []float64 { return e.numbers[e.rule.numbers+at][:n] }
}

func (c *compiler) call(n *node) numbers {
	switch n.name {
	case "length":
		return c.length(n.args[0])
	case "min", "max":
		all := c.number(n.args[0])
		for _, arg := range n.args[1:] {
			all = arithmetic(n.name, all, c.number(arg), c.numberSlot())
		}
		return all
	}
	f := map[string]func(float64) float64{
		"abs":         math.Abs,
		"floor":       math.Floor,
		"round":       math.Round,
		"sqrt":        math.Sqrt,
		"hour":        func(t float64) float64 { return math.Floor(timeOfDay(t) / 3600) },
		"minute":      func(t float64) float64 { return math.Floor(math.Mod(timeOfDay(t), 3600) / 60) },
		"second":      func(t float64) float64 { return math.Mod(timeOfDay(t), 60) },
		"time_of_day": timeOfDay,
		"weekday":     weekday,
	}[n.name]
	return mapped(f, c.number(n.args[0]), c.numberSlot())
}

func timeOfDay(t float64) float64 { return t - math.Floor(t/day)*day }

// weekday counts from 1970-01-01, which was a Thursday.
func weekday(t float64) float64 {
	days := math.Floor(t/day) + 3
	return days - math.Floor(days/7)*7
}

func (c *compiler) length(n *node) numbers {
	of, slot := c.texts(n), c.numberSlot()
	return func(e *Evaluator, n int) []float64 {
		out := e.numbers[slot][:n]
		for i := range out {
			out[i] = math.NaN()
			if text, ok := of(e, e.from+i); ok {
				out[i] = float64(utf8.RuneCount(text))
			}
		}
		return out
	}
}

// truth compiles a node of kind Boolean.
func (c *compiler) truth(n *node) truths {
	switch n.op {
	case "truth":
		return c.truthConstant(n.number == 1)
	case "field":
		return compared("!=", c.number(n), c.constant(0), c.truthSlot())
	case "call": // is_missing alone
		return c.missing(n.args[0])
	case "not":
		of, slot := c.truth(n.args[0]), c.truthSlot()
		return func(e *Evaluator, n int) []truth {
			out := e.truths[slot][:n]
			negate(out, of(e, n))
			return out
		}
	case "and":
		return combined(conjunction, c.truth(n.args[0]), c.truth(n.args[1]), c.truthSlot())
	case "or":
		return combined(disjunction, c.truth(n.args[0]), c.truth(n.args[1]), c.truthSlot())
	case "in":
		return c.in(n)
	default:
		return c.comparison(n)
	}
}

func (c *compiler) truthConstant(value bool) truths {
	slot, t := c.truthSlot(), truth(isFalse)
	if value {
		t = isTrue
	}
	return func(e *Evaluator, n int) []truth {
		out := e.truths[slot][:n]
		for i := range out {
			out[i] = t
		}
		return out
	}
}

func (c *compiler) missing(n *node) truths {
	slot := c.truthSlot()
	fill := func(out []truth, missing func(i int) bool) []truth {
		for i := range out {
			out[i] = isFalse
			if missing(i) {
				out[i] = isTrue
			}
		}
		return out
	}
	switch n.kind {
	case Text, None:
		of := c.texts(n)
		return func(e *Evaluator, n int) []truth {
			return fill(e.truths[slot][:n], func(i int) bool {
				_, ok := of(e, e.from+i)
				return !ok
			})
		}
	case Boolean:
		of := c.truth(n)
		return func(e *Evaluator, n int) []truth {
			a := of(e, n)
			return fill(e.truths[slot][:n], func(i int) bool { return a[i] == isUnknown })
		}
	default:
		of := c.number(n)
		return func(e *Evaluator, n int) []truth {
			a := of(e, n)
			return fill(e.truths[slot][:n], func(i int) bool { return math.IsNaN(a[i]) })
		}
	}
}

func (c *compiler) comparison(n *node) truths {
	left, right := n.args[0], n.args[1]
	switch {
	case left.kind == Text:
		if n.op == "=" && left.op == "field" && right.op == "text" {
			return c.inTexts(c.read(left.field), []string{right.name})
		}
		return c.textComparison(n.op, c.texts(left), c.texts(right))
	case left.kind == Boolean && right.kind == Boolean:
		both := combined(same, c.truth(left), c.truth(right), c.truthSlot())
		if n.op == "=" {
			return both
		}
		slot := c.truthSlot()
		return func(e *Evaluator, n int) []truth {
			out := e.truths[slot][:n]
			negate(out, both(e, n))
			return out
		}
	default:
		return compared(n.op, c.number(left), c.number(right), c.truthSlot())
	}
}

// texts computes a node of kind Text for one row: there is nothing to do to a text, so a vector would be in the way.
type texts func(e *Evaluator, row int) (value []byte, ok bool)

func (c *compiler) texts(n *node) texts {
	if n.op == "text" {
		literal := []byte(n.name)
		return func(*Evaluator, int) ([]byte, bool) { return literal, true }
	}
	field := c.read(n.field)
	return func(e *Evaluator, row int) ([]byte, bool) { return e.columns[field].text(row) }
}

func (c *compiler) textComparison(op string, left, right texts) truths {
	holds := map[string]func(order int) bool{
		"=":  func(order int) bool { return order == 0 },
		"!=": func(order int) bool { return order != 0 },
		"<":  func(order int) bool { return order < 0 },
		"<=": func(order int) bool { return order <= 0 },
		">":  func(order int) bool { return order > 0 },
		">=": func(order int) bool { return order >= 0 },
	}[op]
	slot := c.truthSlot()
	return func(e *Evaluator, n int) []truth {
		out := e.truths[slot][:n]
		for i := range out {
			a, known := left(e, e.from+i)
			b, ok := right(e, e.from+i)
			out[i] = judge(known && ok, known && ok && holds(bytes.Compare(a, b)))
		}
		return out
	}
}

func judge(known, holds bool) truth {
	switch {
	case !known:
		return isUnknown
	case holds:
		return isTrue
	default:
		return isFalse
	}
}

// in compares with each of the list: lists are short, and a map would have to hash every cell.
func (c *compiler) in(n *node) truths {
	if n.args[0].op == "field" && n.args[0].kind == Text {
		var list []string
		for _, literal := range n.args[1:] {
			list = append(list, literal.name)
		}
		return c.inTexts(c.read(n.args[0].field), list)
	}
	of, slot := c.number(n.args[0]), c.truthSlot()
	var list []float64
	for _, literal := range n.args[1:] {
		list = append(list, literal.number)
	}
	return func(e *Evaluator, n int) []truth {
		out := e.truths[slot][:n]
		for i, x := range of(e, n) {
			out[i] = judge(!math.IsNaN(x), slices.Contains(list, x))
		}
		return out
	}
}

// inTexts also serves field = 'literal', which most conditions on texts are.
func (c *compiler) inTexts(field int, list []string) truths {
	slot := c.truthSlot()
	return func(e *Evaluator, n int) []truth {
		column, out := &e.columns[field], e.truths[slot][:n]
		starts, ends := column.Start[e.from:e.from+n], column.End[e.from:e.from+n]
		for i, start := range starts {
			if start > ends[i] {
				out[i] = isUnknown
				continue
			}
			text := column.Data[start:ends[i]]
			out[i] = isFalse
			for _, s := range list {
				if s == string(text) {
					out[i] = isTrue
					break
				}
			}
		}
		return out
	}
}
