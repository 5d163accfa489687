package pipeline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheNewestModelOutlivesItsTime(t *testing.T) {
	dir := t.TempDir()
	for _, run := range []string{"1", "2", "3", "4", "5"} {
		if err := os.MkdirAll(filepath.Join(dir, run, "artifacts"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(dir, run, "artifacts", "model.json"), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir, 2, []string{"3"}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{"2", "3", "4", "5"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
