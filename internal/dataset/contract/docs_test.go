package contract

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// The reference names every key that the decoder knows, every type, and every directive.
func TestReferenceIsComplete(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "data-contracts.md"))
	if err != nil {
		t.Fatal(err)
	}
	reference := string(content)
	words := append(types(), keysOf(reflect.TypeFor[descriptor]())...)
	for _, word := range words {
		if !strings.Contains(reference, "`"+word+"`") {
			t.Errorf("docs/data-contracts.md does not explain `%s`", word)
		}
	}
	for _, directive := range Directives {
		if !strings.Contains(reference, "%"+string(directive)) {
			t.Errorf("docs/data-contracts.md does not name %%%c", directive)
		}
	}
}

// The reference's example is a contract.
func TestReferenceExample(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "data-contracts.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	c, err := Decode("example.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Schema.Fields) != 5 || len(c.Quality.Leak.Features) != 1 {
		t.Errorf("got %+v", c)
	}
}

// keysOf lists the keys of a struct and of all below it.
func keysOf(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keysOf(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[strict.Scalar]() {
			return nil
		}
		var list []string
		for key, field := range strict.Keys(t) {
			list = append(append(list, key), keysOf(field)...)
		}
		return list
	default:
		return nil
	}
}
