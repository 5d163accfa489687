package strict

import (
	"fmt"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml/ast"
)

// Duration is a time.Duration written as in Go: 90s, 10m, 720h.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalYAML reads a duration. The checker has already refused anything else.
func (d *Duration) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	std, err := time.ParseDuration(text)
	*d = Duration(std)
	return err
}

// Names is a list of texts, of which a single one may stand without the list.
type Names []string

// UnmarshalYAML reads a text or a list of them.
func (n *Names) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*n = Names{one}
		return nil
	}
	return unmarshal((*[]string)(n))
}

// A Scalar is a number, a text, true or false, as it is written: 0.10 stays "0.10".
type Scalar struct {
	Text   string
	Native bool // a number, true or false, without quotes
}

// UnmarshalYAML takes the text of the value.
func (s *Scalar) UnmarshalYAML(node ast.Node) error {
	scalar, ok := scalarOf(node)
	if !ok {
		return fmt.Errorf("%s is not a single value", node.GetPath())
	}
	*s = scalar
	return nil
}

func scalarOf(node ast.Node) (Scalar, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return Scalar{Text: n.Value}, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return Scalar{Text: n.GetToken().Value, Native: true}, true
	default:
		return Scalar{}, false
	}
}

// Suggest names the nearest of the valid words, or all of them if none is near.
func Suggest(word string, valid []string) string {
	nearest, distance := "", len(word)/2+1
	for _, v := range valid {
		if len(word) > 3 && strings.HasPrefix(strings.ToLower(v), strings.ToLower(word)) {
			return fmt.Sprintf("did you mean %q?", v)
		}
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(v)); d < distance {
			nearest, distance = v, d
		}
	}
	if nearest != "" {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "valid here: " + strings.Join(valid, ", ")
}
