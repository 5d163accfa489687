package rule

import (
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// checker gives each node its kind, or says which operand is of a wrong one.
type checker struct{ fields []Field }

func check(n *node, fields []Field) error { return checker{fields}.node(n) }

func (c checker) node(n *node) error {
	switch n.op {
	case "number":
		n.kind = Number
		return nil
	case "text":
		n.kind = Text
		return nil
	case "truth":
		n.kind = Boolean
		return nil
	case "field":
		return c.name(n)
	}
	for _, arg := range n.args {
		if err := c.node(arg); err != nil {
			return err
		}
	}
	switch n.op {
	case "call":
		return call(n)
	case "and", "or", "not":
		n.kind = Boolean
		return each(n, "joins conditions", Boolean)
	case "+", "-":
		return additive(n)
	case "*", "/":
		n.kind = Number
		return each(n, "is for numbers", Number)
	default: // a comparison, or in
		n.kind = Boolean
		return comparison(n)
	}
}

func (c checker) name(n *node) error {
	names := make([]string, len(c.fields))
	for i, f := range c.fields {
		if f.Name == n.name {
			n.field, n.kind = i, f.Kind
			return nil
		}
		names[i] = f.Name
	}
	return &Error{n.column, fmt.Sprintf("there is no field %q: %s", n.name, strict.Suggest(n.name, names))}
}

// each demands that all operands are of that kind.
func each(n *node, what string, kind Kind) error {
	for _, arg := range n.args {
		if arg.kind != kind {
			return &Error{arg.column, fmt.Sprintf("%q %s, this is a %s", n.sign(), what, arg.kind)}
		}
	}
	return nil
}

// sign is how a person writes the operation.
func (n *node) sign() string {
	if n.op == "call" {
		return n.name
	}
	return n.op
}

func additive(n *node) error {
	left, right := n.args[0].kind, n.args[1].kind
	switch {
	case left == Time && right == Time && n.op == "-":
		n.kind = Number
		return nil
	case left == Time && right == Number, left == Number && right == Time && n.op == "+":
		n.kind = Time
		return nil
	case left == Time && right == Time:
		return &Error{n.column, "two times have no sum: take their difference, or add seconds"}
	}
	n.kind = Number
	return each(n, "is for numbers", Number)
}

// comparison demands operands of one kind. A text beside a time is read as a time, and 1 beside a condition as true.
func comparison(n *node) error {
	first := n.args[0]
	switch {
	case n.op == "in" && first.op == "text":
		return &Error{first.column, "a field stands before in, not a text"}
	case first.kind == None:
		return &Error{first.column, "a field of this type can't be compared: only is_missing is for it"}
	}
	if err := literalTimes(n); err != nil {
		return err
	}
	for _, arg := range n.args[1:] {
		if arg.kind != first.kind && (n.op == "in" || !flags(first.kind, arg.kind)) {
			return &Error{arg.column, fmt.Sprintf("a %s can't be compared with this: it is a %s", first.kind, arg.kind)}
		}
	}
	if (first.kind == Boolean || n.args[1].kind == Boolean) && n.op != "=" && n.op != "!=" {
		return &Error{n.column, fmt.Sprintf("%q is not for conditions: compare them with = or !=", n.op)}
	}
	return nil
}

// flags reports whether one is a condition and the other the 0 or 1 that data has for it.
func flags(a, b Kind) bool {
	return a == Number && b == Boolean || a == Boolean && b == Number
}

// literalTimes reads the texts that stand beside a time.
func literalTimes(n *node) error {
	if !slices.ContainsFunc(n.args, func(arg *node) bool { return arg.kind == Time }) {
		return nil
	}
	for _, arg := range n.args {
		if arg.op == "text" {
			if err := readTime(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

// readTime turns a text literal into a time.
func readTime(n *node) error {
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, n.name); err == nil {
			n.op, n.kind, n.number = "number", Time, t.Sub(t.Truncate(24*time.Hour)).Seconds()
			return nil
		}
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateTime, time.RFC3339} {
		if t, err := time.Parse(layout, n.name); err == nil {
			n.op, n.kind, n.number = "number", Time, float64(t.UnixNano())/1e9
			if y := t.Year(); y < 1700 || y > 2200 { // beyond what nanoseconds can count
				n.number = float64(t.Unix())
			}
			return nil
		}
	}
	return &Error{n.column, fmt.Sprintf("%q is not a time: write it as 2024-01-31 or 2024-01-31T23:30:00+01:00", n.name)}
}

func call(n *node) error {
	n.kind = Number
	least, most := 1, 1
	of := Number
	switch n.name {
	case "abs", "floor", "round", "sqrt":
	case "hour", "minute", "second", "time_of_day", "weekday":
		of = Time
	case "length":
		of = Text
	case "min", "max":
		least, most = 2, len(n.args)
		of = n.args[0].kind
		if of != Number && of != Time {
			return &Error{n.args[0].column, fmt.Sprintf("%q is for numbers or times, this is a %s", n.name, of)}
		}
		n.kind = of
	case "is_missing":
		n.kind = Boolean
		of = n.args[0].kind
	default:
		return &Error{n.column, fmt.Sprintf("there is no function %q: %s", n.name, strict.Suggest(n.name, []string{
			"abs", "floor", "round", "sqrt", "min", "max", "length", "hour", "minute", "second", "time_of_day", "weekday", "is_missing",
		}))}
	}
	if len(n.args) < least || len(n.args) > most {
		return &Error{n.column, fmt.Sprintf("%s takes %s, these are %d", n.name,
			map[bool]string{true: "one value", false: "two values or more"}[least == 1], len(n.args))}
	}
	return each(n, "is for a "+of.String(), of)
}
