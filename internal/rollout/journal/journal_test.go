package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(t.Context(), dir, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func note(epoch uint64, action string) Entry {
	return Entry{Epoch: epoch, Actor: "ada", Release: "v1.2.0", Action: action, Kind: Note, Message: "as asked"}
}

func add(t *testing.T, j *Journal, e Entry) Entry {
	t.Helper()
	e, err := j.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func all(t *testing.T, dir string) []Entry {
	t.Helper()
	var entries []Entry
	err := Read(t.Context(), dir, func(e Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	want := []Entry{
		add(t, j, Entry{Epoch: 3, Actor: "ada", Release: "v1", Action: "weight", Kind: Intent, Detail: json.RawMessage(`{"to": 5,"hash":"x"}`)}),
		add(t, j, Entry{Epoch: 3, Actor: "ada", Release: "v1", Action: "weight", Kind: Done, Message: "größer <&> \u2028"}),
	}
	want = append(want, add(t, open(t, dir), note(4, "lease")))
	want[0].Detail = json.RawMessage(`{"to":5,"hash":"x"}`)
	if diff := cmp.Diff(want, all(t, dir)); diff != "" {
		t.Error(diff)
	}
	if want[1].Previous != want[0].Hash || want[2].Sequence != 3 {
		t.Errorf("no chain: %+v", want)
	}
	again := open(t, dir)
	if again.Head() != (Anchor{3, want[2].Hash}) || again.Epoch() != 4 {
		t.Errorf("head %+v, epoch %d", again.Head(), again.Epoch())
	}
	r, err := Verify(t.Context(), dir, again.Head())
	if err != nil || r.Err() != nil || !r.Anchored || r.Entries != 3 || r.String() != "3 entries, the chain is whole and anchored" {
		t.Errorf("%v %v", r, err)
	}
}

func TestStaleEpochIsRefused(t *testing.T) {
	dir := t.TempDir()
	old, next := open(t, dir), open(t, dir)
	add(t, old, note(1, "begin"))
	add(t, next, note(2, "take over"))
	if _, err := old.Append(t.Context(), note(1, "weight")); !errors.Is(err, ErrStale) {
		t.Errorf("append: %v", err)
	}
	if _, err := old.Swap(t.Context(), Release{}, 1, "state"); !errors.Is(err, ErrStale) {
		t.Errorf("swap: %v", err)
	}
	if n := len(all(t, dir)); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestSwap(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	zero, err := first.Release()
	if err != nil || zero.Serial != 0 {
		t.Fatalf("%+v, %v", zero, err)
	}
	one, err := first.Swap(t.Context(), zero, 1, map[string]string{"serves": "<v1>"})
	if err != nil || one.Serial != 1 {
		t.Fatalf("%+v, %v", one, err)
	}
	if _, err := second.Swap(t.Context(), zero, 1, "lost"); !errors.Is(err, ErrConflict) {
		t.Errorf("a writer that had not seen it: %v", err)
	}
	seen, err := second.Release()
	if diff := cmp.Diff(one, seen); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	two, err := second.Swap(t.Context(), seen, 2, "two")
	if err != nil || two.Serial != 2 || string(two.State) != `"two"` {
		t.Errorf("%+v, %v", two, err)
	}
	if _, err := first.Swap(t.Context(), two, 1, "old"); !errors.Is(err, ErrStale) {
		t.Errorf("an older epoch: %v", err)
	}
	if _, err := first.Swap(t.Context(), two, 2, strings.Repeat("x", longestRelease)); err == nil {
		t.Error("more than can be read was written")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("something is left: %v", entries)
	}
}

// Of many who swap what they saw, each time exactly one wins.
func TestSwapRace(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	won := make([]int, 4)
	for worker := range won {
		j := open(t, dir)
		wg.Go(func() {
			for won[worker] < 10 {
				seen, err := j.Release()
				if err == nil {
					_, err = j.Swap(t.Context(), seen, 1, worker)
				}
				switch {
				case err == nil:
					won[worker]++
				case !errors.Is(err, ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, err := open(t, dir).Release(); err != nil || r.Serial != 40 {
		t.Errorf("%d versions for 40 swaps: %v", r.Serial, err)
	}
}

// Two processes at once: the test binary itself is the other one.
func TestTwoProcesses(t *testing.T) {
	if dir := os.Getenv("JOURNAL_TEST_DIR"); dir != "" {
		j := open(t, dir)
		for range 100 {
			add(t, j, note(1, "other process"))
		}
		return
	}
	dir := t.TempDir()
	j := open(t, dir)
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTwoProcesses$")
	other.Env = append(os.Environ(), "JOURNAL_TEST_DIR="+dir)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		add(t, j, note(1, "this process"))
	}
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(t.Context(), dir, Anchor{}); err != nil || r.Err() != nil || r.Entries != 200 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestHostileText(t *testing.T) {
	dir := t.TempDir()
	secret := "pa55-word\"x"
	j, err := Open(t.Context(), dir, time.Now, plain.NewMask(secret))
	if err != nil {
		t.Fatal(err)
	}
	detail, _ := json.Marshal(map[string]string{"url": "postgres://u:" + secret + "@h"})
	e := add(t, j, Entry{
		Epoch: 1, Actor: "a\x1b[2J\nb", Release: `zzz";echo${IFS}"hello";#` + "\xff", Action: strings.Repeat("ü", 200), Kind: Note,
		Message: "token " + secret + "\n" + `"}` + seal + strings.Repeat("y", 10000), Detail: detail,
	})
	if e.Actor != "a b" || len(e.Action) > longestName+4 || len(e.Message) > longestMessage+4 {
		t.Errorf("%+v", e)
	}
	content, _ := os.ReadFile(filepath.Join(dir, LogFile))
	if bytes.Contains(content, []byte("pa55")) || bytes.Count(content, []byte("\n")) != 1 || bytes.ContainsRune(content, 0x1b) {
		t.Errorf("%q", content)
	}
	for _, bad := range []Entry{
		{Epoch: 1, Action: "a", Kind: "else"},
		{Epoch: 1, Action: "a", Kind: Note, Detail: json.RawMessage(`{`)},
		{Epoch: 1, Action: "a", Kind: Note, Detail: json.RawMessage(`"` + strings.Repeat("d", longestDetail) + `"`)},
	} {
		if _, err := j.Append(t.Context(), bad); err == nil {
			t.Errorf("%.40v was written", bad)
		}
	}
	if _, err := j.Swap(t.Context(), Release{}, 1, map[string]string{"password": secret}); err != nil {
		t.Error(err)
	}
	if content, _ := os.ReadFile(filepath.Join(dir, ReleaseFile)); bytes.Contains(content, []byte("pa55")) {
		t.Errorf("%q", content)
	}
	if r, err := Verify(t.Context(), dir, j.Head()); err != nil || r.Err() != nil {
		t.Error(r, err)
	}
}

// A tear at every byte of the last entry is healed, and told.
func TestHeal(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	add(t, j, note(7, "begin"))
	kept := j.at.offset
	add(t, j, Entry{Epoch: 7, Actor: "ada", Action: "weight", Kind: Note, Detail: json.RawMessage(`{"a":1,"hash":"b"}`)})
	whole, err := os.ReadFile(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	healed := t.TempDir()
	for cut := kept; cut <= int64(len(whole)); cut++ {
		for _, zeros := range []int{0, 100} {
			if zeros > 0 && cut == int64(len(whole)) {
				continue
			}
			torn := append(bytes.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(filepath.Join(healed, LogFile), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			j := open(t, healed)
			add(t, j, note(7, "go on"))
			_ = j.Close()
			var actions []string
			for _, e := range all(t, healed) {
				actions = append(actions, e.Action)
			}
			want := []string{"begin", "heal", "go on"}
			switch {
			case cut == int64(len(whole)) || (cut == int64(len(whole))-1 && zeros == 0):
				want[1] = "weight" // only the line end, or nothing, is missing
			case cut == kept && zeros == 0:
				want = []string{"begin", "go on"}
			}
			if diff := cmp.Diff(want, actions); diff != "" {
				t.Fatalf("cut at %d of %d, %d zeros: %s", cut, len(whole), zeros, diff)
			}
		}
	}
}

// What no kill leaves is not healed.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for i := range 3 {
		add(t, j, note(1, fmt.Sprint("step ", i)))
	}
	if _, err := j.Swap(t.Context(), Release{}, 1, "state"); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(filepath.Join(dir, LogFile))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, content := range map[string][]byte{
		"edited":                          bytes.Replace(whole, []byte("step 1"), []byte("step 9"), 1),
		"cut at a line":                   bytes.Join(lines[:2], nil),
		"cut within the last line":        whole[:len(whole)-20],
		"moved":                           bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil),
		"other line end":                  append(bytes.Clone(whole[:len(whole)-1]), 'X'),
		"something else behind":           append(bytes.Clone(whole), "hello"...),
		"something else behind, and ends": append(bytes.Clone(whole), "hello\n"...),
		"endless":                         append(bytes.Clone(whole), bytes.Repeat([]byte("x"), 1<<20)...),
		"nothing":                         nil,
	} {
		running := open(t, dir) // read all of it while it was whole
		if err := os.WriteFile(filepath.Join(dir, LogFile), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, time.Now, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, LogFile)); !bytes.Equal(after, content) {
			t.Errorf("%s: it was changed", name)
		}
		if len(content) != len(whole) { // what it has read it does not read again
			if _, err := running.Append(t.Context(), note(1, "x")); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: an open journal goes on: %v", name, err)
			}
		}
		_ = os.WriteFile(filepath.Join(dir, LogFile), whole, 0o600)
	}
}

func TestLogIsReplacedUnderneath(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	add(t, j, note(1, "a"))
	path := filepath.Join(dir, LogFile)
	content, _ := os.ReadFile(path)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), note(1, "b")); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestDamagedRelease(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	add(t, j, note(1, "a"))
	if _, err := j.Swap(t.Context(), Release{}, 1, map[string]int{"weight": 5}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ReleaseFile)
	whole, _ := os.ReadFile(path)
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x01
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Release(); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d of %s flipped: %v", i, flipped, err)
		}
		if err := os.WriteFile(path, whole[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Swap(t.Context(), Release{}, 1, "x"); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at byte %d: %v", i, err)
		}
	}
	if r, err := Verify(t.Context(), dir, Anchor{}); err != nil || r.Err() == nil {
		t.Error(r, err)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "."+ReleaseFile+"-123")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
