package difftest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

var update = flag.Bool("update", false, "write docs/data-differences.md")

// TestPageNamesEachDifference keeps the table for people equal to the one that the test goes by.
func TestPageNamesEachDifference(t *testing.T) {
	path := filepath.Join(stagetest.Repository(t), "docs", "data-differences.md")
	want := page()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale: run go test ./internal/dataset/difftest -run Page -update (-want +got):\n%s", path, diff)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Where our validator and frictionless differ

Contracts are written in the standard that [frictionless-py](https://framework.frictionlessdata.io) implements, and
both judge alike: a test gives some 570 files that were written by hand and 2,000 generated ones to both, and compares
verdict, rule, row and column of every finding. Where the standard is silent, or frictionless is looser than its words,
or another reader would see other cells, we take a side. These are all the cases; the test knows no other and fails
when one of them no longer shows.

Rules have frictionless' names. Its constraint-error and unique-error have the constraint's name here (` + "`minimum`, `unique`" + `),
source-error is ` + "`empty`" + `, and findings about labels are in row 1, where it gives no row.

| case | frictionless | here | why |
|---|---|---|---|
`)
	cell := func(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
	for _, d := range differences() {
		fmt.Fprintf(&b, "| **%s**: %s | %s | %s | %s |\n", d.name, cell(d.what), cell(d.theirs), cell(d.ours), cell(d.why))
	}
	b.WriteString(`
Written by ` + "`go test ./internal/dataset/difftest -run Page -update`" + ` from the table in differences_test.go.
`)
	return b.String()
}
