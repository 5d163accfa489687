package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written is the log of a roll-out of so many steps, and its head.
func written(t *testing.T, steps int) ([]byte, Anchor) {
	t.Helper()
	dir := t.TempDir()
	j := open(t, dir)
	for i := range steps {
		e := note(uint64(i)+1, "weight")
		e.Kind, e.Detail = Intent, json.RawMessage(fmt.Sprintf(`{"to":%d}`, i))
		add(t, j, e)
		e.Kind = Done
		add(t, j, e)
	}
	content, err := os.ReadFile(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	return content, j.Head()
}

func verify(t *testing.T, content []byte, anchor Anchor) Report {
	t.Helper()
	v := verifier{anchors: []*claim{{Anchor: anchor, from: "the anchor"}}}
	r, err := v.verify(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each byte flipped in several ways is noticed, with and without an anchor, and at its line.
func TestEveryFlipIsNoticed(t *testing.T) {
	whole, head := written(t, 2)
	tried := 0
	for i := range whole {
		for _, mask := range []byte{0x01, 0x02, 0x20, 0x80, 0xff} {
			flipped := bytes.Clone(whole)
			flipped[i] ^= mask
			line := 1 + bytes.Count(whole[:i], []byte("\n"))
			for _, anchor := range []Anchor{head, {}} {
				tried++
				r := verify(t, flipped, anchor)
				if len(r.Problems) == 0 || r.Problems[0].Line != line {
					t.Fatalf("byte %d (line %d) ^ %#x: %v", i, line, mask, r)
				}
			}
		}
	}
	t.Logf("%d of %d flips were noticed", tried, tried)
}

// A log that ends at any byte is noticed; without an anchor it is at least said that none vouches for it.
func TestEveryCutIsNoticed(t *testing.T) {
	whole, head := written(t, 2)
	for cut := range whole {
		if r := verify(t, whole[:cut], head); r.Err() == nil || r.Anchored {
			t.Fatalf("cut at %d: %v", cut, r)
		}
		r := verify(t, whole[:cut], Anchor{})
		atLine := cut == 0 || whole[cut-1] == '\n'
		switch {
		case !atLine && r.Err() == nil:
			t.Fatalf("cut at %d: %v", cut, r)
		case atLine && (r.Err() != nil || r.Anchored || !strings.Contains(r.String(), "unanchored: a cut at its end would not show")):
			t.Fatalf("cut at %d: %v", cut, r)
		}
	}
	if r := verify(t, whole, head); r.Err() != nil || !r.Anchored || r.After != 0 {
		t.Error(r)
	}
}

// Each byte left out, and one put in at each place.
func TestEveryInsertionIsNoticed(t *testing.T) {
	whole, _ := written(t, 2)
	for i := range whole {
		without := append(bytes.Clone(whole[:i]), whole[i+1:]...)
		with := append(append(bytes.Clone(whole[:i]), ' '), whole[i:]...)
		if verify(t, without, Anchor{}).Err() == nil || verify(t, with, Anchor{}).Err() == nil {
			t.Fatalf("byte %d", i)
		}
	}
}

func TestLinesAreNoticed(t *testing.T) {
	whole, head := written(t, 3)
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	join := func(order ...int) []byte {
		var b []byte
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		return b
	}
	tests := []struct {
		name    string
		content []byte
		want    string
	}{
		{"first cut off", join(1, 2, 3, 4, 5), "line 1: it is entry 2, and entry 1 belongs here: something was cut out, put in or moved"},
		{"cut in the middle", join(0, 1, 4, 5), "line 3: it is entry 5, and entry 3 belongs here"},
		{"exchanged", join(0, 2, 1, 3, 4, 5), "line 2: it is entry 3, and entry 2 belongs here"},
		{"twice", join(0, 1, 1, 2, 3, 4, 5), "line 3: it is entry 2, and entry 3 belongs here"},
		{"end cut off", join(0, 1, 2, 3), "line 5: the log ends with entry 4, and the anchor knows entry 6: its end was cut off"},
		{"empty line", append(join(0), append([]byte("\n"), join(1, 2, 3, 4, 5)...)...), "line 2: it does not end with a hash"},
		{"long line", append(join(0), append(append(bytes.Repeat([]byte("z"), 300<<10), '\n'), join(1, 2, 3, 4, 5)...)...), "line 2: it is longer than any entry"},
		{"emptied", nil, "line 1: the log ends with entry 0, and the anchor knows entry 6"},
		{"binary", bytes.Repeat([]byte{0, '\n', 0xff, '\n'}, 1000), "line 1: it does not end with a hash"},
	}
	for _, tt := range tests {
		r := verify(t, tt.content, head)
		if r.Err() == nil || !strings.HasPrefix(r.Problems[0].String(), tt.want) || len(r.Problems) > enough+1 {
			t.Errorf("%s: %v, want %s", tt.name, r, tt.want)
		}
	}
}

// Who writes the chain anew from an edit on makes a sound chain, but another one than the anchor knows.
func TestRewrittenChainIsNoticed(t *testing.T) {
	_, head := written(t, 3)
	dir := t.TempDir()
	j := open(t, dir)
	for range 6 {
		add(t, j, note(1, "nothing happened"))
	}
	r, err := Verify(t.Context(), dir, head)
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.String(), "entry 6 is not the one that the anchor knows: the log was written anew") {
		t.Error(r, err)
	}
	if r, _ := Verify(t.Context(), dir, Anchor{}); r.Err() != nil || r.Anchored {
		t.Error(r)
	}
	five := Anchor{5, all(t, dir)[4].Hash}
	if r, _ := Verify(t.Context(), dir, five); !r.Anchored || r.After != 1 || !strings.HasSuffix(r.String(), "but for the last 1") {
		t.Error(r)
	}
}

// One line edited and its own hash made right: the line behind it does not follow.
func TestEditWithItsOwnHash(t *testing.T) {
	whole, _ := written(t, 2)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	e, err := decode(bytes.TrimSuffix(lines[1], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	e.Message = "nothing happened"
	if lines[1], err = e.encode(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, bytes.Join(lines, nil), Anchor{}); len(r.Problems) != 1 || r.Problems[0].Line != 3 {
		t.Error(r)
	}
}

// release.json is an anchor, too: one that lies beside the log.
func TestReleaseAnchors(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	add(t, j, note(1, "a"))
	first := j.at.offset
	add(t, j, note(1, "b"))
	if _, err := j.Swap(t.Context(), Release{}, 1, "state"); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, LogFile), first); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(t.Context(), dir, Anchor{})
	if err != nil || !strings.Contains(r.String(), "line 2: the log ends with entry 1, and release.json knows entry 2: its end was cut off") {
		t.Error(r, err)
	}
}

func TestVerifyNothing(t *testing.T) {
	r, err := Verify(t.Context(), t.TempDir(), Anchor{})
	if err != nil || r.Err() != nil || r.Entries != 0 {
		t.Error(r, err)
	}
	if r, _ := Verify(t.Context(), t.TempDir(), Anchor{3, "x"}); r.Err() == nil {
		t.Error("a log that is gone fits its anchor")
	}
}

func FuzzDecode(f *testing.F) {
	e := note(1, "a")
	e.Sequence, e.Previous = 1, start().head.Hash
	line, err := e.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"seq":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		at := start()
		at.torn(line)
		at.whole(line)
		if e, err := decode(line); err == nil && e.Hash == "" {
			t.Errorf("%q has no hash", line)
		}
	})
}
