package profile

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func example() Baseline {
	return Baseline{Data: "steel", Made: "2026-11-23", Profile: Profile{Rows: 5000, Columns: []Summary{
		textsOf("ok", "[\n1, 2]", "fault").Summary("status"),
		numbersOf(Number, series(5000, func(i float64) float64 { return math.Sin(i) * 1e-7 })...).Summary("load"),
		numbersOf(Number, series(5000, func(i float64) float64 { return math.Mod(i, 2) })...).Summary("holiday"),
		numbersOf(Time, 1.7e9, 1.8e9).Summary("at"),
		NewColumn(Number).Summary("nothing"),
		numbersOf(Number, math.Inf(1)).Summary("infinite"),
		numbersOf(Number, -math.MaxFloat64, math.MaxFloat64, 0).Summary("extreme"),
	}}}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "steel.json")
	if err := example().Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if names := []string{got.Columns[0].Name, got.Columns[1].Name}; names[0] != "at" || names[1] != "extreme" {
		t.Errorf("columns are not in order: %q", names)
	}
	for _, want := range example().Columns {
		if diff := cmp.Diff(want, *got.Column(want.Name), cmpopts.IgnoreUnexported(Summary{})); diff != "" {
			t.Errorf("%s: %s", want.Name, diff)
		}
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Save(path); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
		t.Error("the same profile gives other bytes")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("something is left beside it: %v", entries)
	}
}

func TestLoadIsStrict(t *testing.T) {
	whole, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	tests := []struct{ name, content, want string }{
		{"edited", strings.Replace(text, `"rows": 5000`, `"rows": 6000`, 1), "it was edited: its digest does not fit its content"},
		{"without a digest", regexp.MustCompile(`sha256:\w+`).ReplaceAllString(text, ""), "it was edited"},
		{"an unknown field", strings.Replace(text, `"rows": 5000`, `"rows": 5000, "lines": 1`, 1), `unknown field "lines"`},
		{"a wrong type", strings.Replace(text, `"rows": 5000`, `"rows": "many"`, 1), "cannot unmarshal string"},
		{"another version", strings.Replace(text, `"version": 1`, `"version": 2`, 1), "it has version 2, not 1"},
		{"truncated", text[:len(text)/2], "it is truncated"},
		{"empty", "", "it is truncated"},
		{"something else", "version: 1", "it is not JSON of a baseline"},
		{"another document", "[]", "it is not JSON of a baseline"},
		{"more behind", text + "{}", "not JSON of a baseline"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "b.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "b.json") || !strings.HasSuffix(err.Error(), "mage data:baseline") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "mage data:baseline") {
		t.Errorf("%v", err)
	}
	if _, err := decode([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Errorf("other line ends are no edit: %v", err)
	}
}

// A file may have a right digest and be nonsense.
func TestContradictions(t *testing.T) {
	for name, spoil := range map[string]func(*Baseline){
		"twice":       func(b *Baseline) { b.Columns[0].Name = b.Columns[1].Name },
		"negative":    func(b *Baseline) { b.Columns[1].Nulls = -1 },
		"kind":        func(b *Baseline) { b.Columns[1].Kind = "letter" },
		"order":       func(b *Baseline) { b.Columns[2].Distribution.Upper[0] = 9 },
		"sum":         func(b *Baseline) { b.Columns[2].Distribution.Count[0]++ },
		"lengths":     func(b *Baseline) { b.Columns[2].Distribution.Count = nil },
		"no steps":    func(b *Baseline) { b.Columns[2].Distribution = nil },
		"two natures": func(b *Baseline) { b.Columns[2].Texts = &Texts{} },
	} {
		b := example()
		spoil(&b)
		content, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(content); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"version": 1}`))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = decode(content)
	})
}

func TestSaveFails(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := example().Save(filepath.Join(directory, "file", "b.json")); err == nil || !strings.Contains(err.Error(), "write baseline") {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(filepath.Join(directory, "b.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := example().Save(filepath.Join(directory, "b.json")); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, _ := os.ReadDir(directory); len(entries) != 2 {
		t.Errorf("something is left: %v", entries)
	}
}
