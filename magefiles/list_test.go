//go:build mage

package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/magefile/mage/mage"
)

var update = flag.Bool("update", false, "write the page again")

const golden = "testdata/list.golden.txt"

// The page that `mage -l` shows is what somebody reads on the first day: it is held word by word.
func TestListReadsLikeAPage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := mage.Invoke(mage.Invocation{Dir: ".", WorkDir: "..", List: true, Stdout: &stdout, Stderr: &stderr, GoCmd: "go", CacheDir: t.TempDir(), Force: true})
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if *update {
		if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
		t.Errorf("(-want +got), renew it with -update:\n%s", diff)
	}
}

func TestEveryTargetSaysWhatItDoes(t *testing.T) {
	page, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	_, targets, ok := strings.Cut(string(page), "Targets:\n")
	if !ok {
		t.Fatal("the page has no targets")
	}
	for line := range strings.Lines(targets) {
		name, sentence, _ := strings.Cut(strings.TrimSpace(line), " ")
		sentence = strings.TrimSpace(sentence)
		switch {
		case name == "":
		case !strings.HasSuffix(sentence, "."):
			t.Errorf("%s: %q is no sentence", name, sentence)
		case len(line) > 120:
			t.Errorf("%s: its line has %d columns", name, len(line))
		}
	}
}
