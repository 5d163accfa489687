package record

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tree(t *testing.T, root string) string {
	t.Helper()
	sum, err := Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// What a deploy is made of changes the hash, and nothing else does.
func TestTree(t *testing.T) {
	root := t.TempDir()
	write(t, root, "docker/compose.yaml", "services: {}\n")
	write(t, root, "internal/rollout/driver.go", "package rollout\n")
	write(t, root, "src/api/app.py", "x = 1\n")
	before := tree(t, root)
	for _, name := range []string{
		"README.md", "internal/rollout/driver_test.go", "internal/rollout/trial/site.go", "internal/rollout/testdata/x", "src/api/__pycache__/app.pyc", "src/data/x.py",
	} {
		write(t, root, name, "x")
	}
	if after := tree(t, root); after != before {
		t.Error("what is not deployed changes the hash")
	}
	seen := map[string]string{before: "nothing"}
	for _, name := range []string{
		"docker/compose.yaml", "docker/proxy/haproxy.cfg.tmpl", "internal/rollout/driver.go", "internal/rollout/agent/agent.go",
		"internal/stage/staging/staging.go", "internal/stage/production/gate.go", "scripts/smoke.py", "src/api/app.py",
	} {
		write(t, root, name, "changed\n")
		after := tree(t, root)
		if other, ok := seen[after]; ok {
			t.Errorf("a change of %s gives the hash of %s", name, other)
		}
		seen[after] = name
	}
	if err := os.Chmod(filepath.Join(root, "scripts", "smoke.py"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok := seen[tree(t, root)]; ok {
		t.Error("that a script may be run does not change the hash")
	}
}

func TestStale(t *testing.T) {
	r := Record{}
	says := func(want string) {
		t.Helper()
		if got := r.Stale("now"); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	says("no trial of deploys has run")
	r.Put(Trial{Part: "shift", Name: "one", Tree: "then"})
	says("all 1 trials of deploys ran on another tree than this")
	r.Put(Trial{Part: "shift", Name: "two", Tree: "now"})
	says("1 of 2 trials of deploys ran on another tree than this: shift/one")
	r.Put(Trial{Part: "shift", Name: "one", Tree: "now"})
	says("")
	r.Put(Trial{Part: "bad", Name: "three", Tree: "now", Problem: "it stayed"})
	says("1 did not pass: bad/three")
	r.Keep([]string{"shift/two", "shift/one"})
	says("")
	if r.Trials[0].Name != "two" {
		t.Error("they are in another order")
	}
}

func TestUpdatesAtOnce(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "docs", "results"), 0o755); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if err := Update(t.Context(), root, func(r *Record) { r.Put(Trial{Name: fmt.Sprint(n)}) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if r, err := Read(root); err != nil || len(r.Trials) != 20 {
		t.Error(len(r.Trials), err)
	}
}

func TestReadsWhatItWrote(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "docs", "results"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := Read(root)
	if err != nil || len(r.Trials) != 0 {
		t.Fatal(r, err)
	}
	r.Put(Trial{
		Part: "shift", Name: "whole", Tree: "abc", Began: time.Unix(0, 0).UTC(), Outcome: "0 of 20000 | failed",
		Figures: []Figure{{"requests", 20000, ""}, {"weight", 18.25, "ms"}}, Events: []Event{{1.5, "begin"}},
	})
	r.Put(Trial{Part: "bad", Name: "late", Problem: "it stayed"})
	if err := r.Write(root); err != nil {
		t.Fatal(err)
	}
	again, err := Read(root)
	if err != nil || len(again.Trials) != 2 || again.page() != r.page() {
		t.Fatal(again, err)
	}
	if f, ok := again.Trials[0].Figure("weight"); !ok || f.Value != 18.25 {
		t.Error(f, ok)
	}
	for _, want := range []string{"| whole | 20000 | 18.2 | 0 of 20000 \\| failed |", "**not passed**: it stayed", "weight, ms"} {
		if !strings.Contains(r.page(), want) {
			t.Errorf("%q is not on the page:\n%s", want, r.page())
		}
	}
	write(t, root, File, `{"schema": 1, "trials": [], "more": 1}`)
	if _, err := Read(root); err == nil {
		t.Error("a record with a field that nobody knows was read")
	}
}
