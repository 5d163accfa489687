package rule

import "math"

// truth is ordered so that and is the smaller, or the larger, and not the mirror image.
type truth = uint8

const (
	isFalse   = 0
	isUnknown = 1
	isTrue    = 2
)

// numbers and truths compute one node for n rows of a chunk. The slice is valid until they are called again.
type (
	numbers func(e *Evaluator, n int) []float64
	truths  func(e *Evaluator, n int) []truth
)

func arithmetic(op string, left, right numbers, slot int) numbers {
	var loop func(out, a, b []float64)
	switch op {
	case "+":
		loop = add
	case "-":
		loop = subtract
	case "*":
		loop = multiply
	case "/":
		loop = divide
	case "min":
		loop = smaller
	default:
		loop = larger
	}
	return func(e *Evaluator, n int) []float64 {
		a, b, out := left(e, n), right(e, n), e.numbers[slot][:n]
		loop(out, a, b)
		return out
	}
}

func add(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] + b[i]
	}
}

func subtract(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] - b[i]
	}
}

func multiply(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] * b[i]
	}
}

// divide gives no value where it divides by zero: an infinity would compare as true or false by chance of the sign.
func divide(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		if b[i] == 0 {
			out[i] = math.NaN()
			continue
		}
		out[i] = a[i] / b[i]
	}
}

func smaller(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = min(a[i], b[i])
	}
}

func larger(out, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = max(a[i], b[i])
	}
}

// each applies a function of one number.
func mapped(f func(float64) float64, of numbers, slot int) numbers {
	return func(e *Evaluator, n int) []float64 {
		a, out := of(e, n), e.numbers[slot][:n]
		for i, x := range a {
			out[i] = f(x)
		}
		return out
	}
}

// compared serves all six signs: a > b is b < a, and != is not =.
func compared(op string, left, right numbers, slot int) truths {
	switch op {
	case ">", ">=":
		left, right = right, left
	}
	loop := equal
	switch op {
	case "<", ">":
		loop = less
	case "<=", ">=":
		loop = lessOrEqual
	}
	return func(e *Evaluator, n int) []truth {
		a, b, out := left(e, n), right(e, n), e.truths[slot][:n]
		loop(out, a, b)
		if op == "!=" {
			negate(out, out)
		}
		return out
	}
}

// bit compiles to one instruction without a jump. Neither of a comparison and its opposite holds for a missing value,
// which leaves the sum unknown.
func bit(holds bool) truth {
	var t truth
	if holds {
		t = 1
	}
	return t
}

func less(out []truth, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		x, y := a[i], b[i]
		out[i] = isUnknown + bit(x < y) - bit(x >= y)
	}
}

func lessOrEqual(out []truth, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		x, y := a[i], b[i]
		out[i] = isUnknown + bit(x <= y) - bit(x > y)
	}
}

func equal(out []truth, a, b []float64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		x, y := a[i], b[i]
		out[i] = isUnknown + bit(x == y) - bit(x < y) - bit(x > y)
	}
}

func negate(out, a []truth) {
	for i, x := range a {
		out[i] = isTrue - x
	}
}

func combined(loop func(out, a, b []truth), left, right truths, slot int) truths {
	return func(e *Evaluator, n int) []truth {
		a, b, out := left(e, n), right(e, n), e.truths[slot][:n]
		loop(out, a, b)
		return out
	}
}

func conjunction(out, a, b []truth) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = min(a[i], b[i])
	}
}

func disjunction(out, a, b []truth) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = max(a[i], b[i])
	}
}

func same(out, a, b []truth) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		switch {
		case a[i] == isUnknown || b[i] == isUnknown:
			out[i] = isUnknown
		case a[i] == b[i]:
			out[i] = isTrue
		default:
			out[i] = isFalse
		}
	}
}
