// Package workflowtest reads and runs the committed workflow as GitHub and its runner do: it computes conditions, says which
// jobs start, and does the steps of each in a checkout of its own. It is imported by tests only.
package workflowtest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

// An Evaluator computes GitHub's expressions, as far as our workflows use them. It reads them with actionlint's parser, so
// that what it takes for an expression is one. What it does not know is an error of the test, never a guess.
type Evaluator struct {
	T        testing.TB
	Contexts map[string]any
	Status   map[string]string // of the jobs that this one needs: success, failure, cancelled, skipped
	asked    bool              // a status function was in the expression
}

// Eval computes one, with or without its braces.
func (e *Evaluator) Eval(expression string) any {
	e.T.Helper()
	expression = strings.TrimSuffix(strings.TrimPrefix(expression, "${{"), "}}")
	node, err := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(expression + "}}"))
	if err != nil {
		e.T.Fatalf("%s: %v", expression, err)
	}
	return e.node(node)
}

var braces = regexp.MustCompile(`\$\{\{.*?\}\}`)

// Fill puts the values of the expressions into a text.
func (e *Evaluator) Fill(text string) string {
	e.T.Helper()
	return braces.ReplaceAllStringFunc(text, func(found string) string { return words(e.Eval(found)) })
}

// Goes reports whether a condition lets a job or a step begin. Without a status function in it, GitHub puts success()
// before it, which looks at the whole chain: one that was skipped far above blocks, too.
func (e *Evaluator) Goes(condition *actionlint.String) bool {
	e.T.Helper()
	goes := condition == nil || Truthy(e.Eval(condition.Value))
	if e.asked {
		return goes
	}
	for _, status := range e.Status {
		goes = goes && status == "success"
	}
	return goes
}

func (e *Evaluator) node(n actionlint.ExprNode) any {
	e.T.Helper()
	switch n := n.(type) {
	case *actionlint.StringNode:
		return n.Value
	case *actionlint.BoolNode:
		return n.Value
	case *actionlint.NullNode:
		return nil
	case *actionlint.VariableNode:
		value, ok := e.Contexts[n.Name]
		if !ok {
			e.T.Fatalf("there is no context %s", n.Name)
		}
		return value
	case *actionlint.ObjectDerefNode:
		object, _ := e.node(n.Receiver).(map[string]any)
		for name, value := range object {
			if strings.EqualFold(name, n.Property) { // names have no case
				return value
			}
		}
		return nil // GitHub's answer to what is not there
	case *actionlint.NotOpNode:
		return !Truthy(e.node(n.Operand))
	case *actionlint.LogicalOpNode:
		left := e.node(n.Left)
		if Truthy(left) == (n.Kind == actionlint.LogicalOpNodeKindOr) {
			return left
		}
		return e.node(n.Right)
	case *actionlint.CompareOpNode:
		same := equal(e.node(n.Left), e.node(n.Right))
		switch n.Kind {
		case actionlint.CompareOpNodeKindEq:
			return same
		case actionlint.CompareOpNodeKindNotEq:
			return !same
		default: // the sizes of strings are nothing that ours compare
		}
	case *actionlint.FuncCallNode:
		return e.call(n)
	}
	e.T.Fatalf("the evaluator does not know %T", n)
	return nil
}

func (e *Evaluator) call(n *actionlint.FuncCallNode) any {
	e.T.Helper()
	var args []any
	for _, arg := range n.Args {
		args = append(args, e.node(arg))
	}
	has := func(status string) bool {
		for _, s := range e.Status {
			if s == status {
				return true
			}
		}
		return false
	}
	switch name := strings.ToLower(n.Callee); name {
	case "startswith":
		return strings.HasPrefix(strings.ToLower(words(args[0])), strings.ToLower(words(args[1])))
	case "tojson":
		content, err := json.MarshalIndent(args[0], "", "  ")
		if err != nil {
			e.T.Fatal(err)
		}
		return string(content)
	case "always":
		e.asked = true
		return true
	case "cancelled":
		e.asked = true
		return has("cancelled")
	case "success":
		e.asked = true
		return !has("failure") && !has("cancelled") && !has("skipped")
	default:
		e.T.Fatalf("the evaluator does not know %s()", name)
		return nil
	}
}

// Truthy is what GitHub takes for true.
func Truthy(v any) bool { return v != nil && v != false && v != "" && v != 0.0 }

func words(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// equal is GitHub's: strings without regard to case; null and the empty string are both zero.
func equal(a, b any) bool { return strings.EqualFold(words(a), words(b)) }
