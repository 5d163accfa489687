package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// everything has at least one of each rule that looks at rows.
const everything = `
schema:
  missingValues: ["", NA]
  primaryKey: [m, t]
  foreignKeys:
    - {fields: m, reference: {fields: peer}}
  fields:
    - {name: m, type: integer, constraints: {minimum: 0, maximum: 8}}
    - {name: t, type: datetime, format: "%Y-%m-%d %H:%M"}
    - {name: v, type: number, constraints: {required: true, minimum: -1, unique: true}}
    - {name: w, type: number}
    - {name: s, type: string, constraints: {maxLength: 6, pattern: "[a-z\n]*"}}
    - {name: e, type: string, constraints: {enum: [a, b]}}
    - {name: peer, type: integer}
quality:
  duplicates: 0
  nulls: {w: 0}
  shares:
    - {field: e, value: a, share: 0.1}
  rules:
    - {name: order, expression: "v <= w or e = 'b'"}
  freshness: {field: t, within: 1h}
  interval: {time: t, by: m, every: 15m}
  leak: {target: w, features: [v]}
`

// spoiled is a file in which much is wrong, at random places.
func spoiled(random *rand.Rand, rows int) string {
	var out strings.Builder
	out.WriteString("m,t,v,w,s,e,peer\n")
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	line := ""
	for i := range rows {
		if line != "" && random.IntN(20) == 0 {
			out.WriteString(line)
			continue
		}
		v := fmt.Sprintf("%.2f", random.NormFloat64()*4)
		cells := []string{
			fmt.Sprint(i % 9), start.Add(time.Duration(i/9) * 15 * time.Minute).Format("2006-01-02 15:04"), v, "0" + v, "abc",
			string("ab"[random.IntN(2)]), fmt.Sprint(i % 7),
		}
		if random.IntN(4) == 0 {
			spoils := []string{"", "NA", "x", "\"a\nb\"", "12345678901234567890", "\"\"\"", "a\"b", "\x00", "\xff", "\r", "é", "2025-01-01 00:07"}
			cells[random.IntN(len(cells))] = spoils[random.IntN(len(spoils))]
		}
		switch random.IntN(40) {
		case 0:
			cells = cells[:random.IntN(len(cells))]
		case 1:
			cells = append(cells, "more", "cells")
		case 2:
			cells = []string{"", "", "NA"}
		}
		line = strings.Join(cells, ",") + []string{"\n", "\r\n"}[random.IntN(2)]
		out.WriteString(line)
	}
	return out.String()
}

// What is found depends neither on where blocks end nor on who judges them.
func TestSameForAnySplit(t *testing.T) {
	c := decode(t, descriptor(everything))
	ignore := cmp.Options{cmpopts.IgnoreUnexported(profile.Summary{})}
	rules := map[string]bool{}
	for seed := range uint64(4) {
		path := write(t, spoiled(rand.New(rand.NewPCG(seed, 1)), 300+int(seed)*300))
		var first *Result
		for _, block := range []int{1 << 20, 64, 100, 1000, 4096, 1 << 16} {
			for _, workers := range []int{1, 2, 4} {
				r, err := Validate(t.Context(), c, path, Options{Now: now, BlockSize: block, Workers: workers, Keep: 5})
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = r
				}
				if !cmp.Equal(first, r, ignore) {
					t.Fatalf("seed %d, blocks of %d, %d workers:\n%s", seed, block, workers, cmp.Diff(first, r, ignore))
				}
			}
		}
		for _, count := range first.Counts {
			rules[count.Rule] = true
			kept := 0
			for _, f := range first.Findings {
				if f.Rule == count.Rule && f.Column == count.Column {
					kept++
				}
			}
			if int64(kept) != min(count.Total, 5) {
				t.Errorf("%s %s: %d of %d are kept", count.Rule, count.Column, kept, count.Total)
			}
		}
	}
	for _, rule := range []string{
		RuleMissingCell, RuleExtraCell, RuleBlankRow, RuleType, RuleRequired, RuleUnique, RuleMinimum, RuleMaximum, RuleMaxLength,
		RulePattern, RuleEnum, RulePrimaryKey, RuleForeignKey, RuleQuote, RuleLineEnd, RuleNUL, RuleEncoding, RuleNulls,
		RuleDuplicates, RuleShare, RuleRule, RuleFreshness, RuleInterval, RuleGaps, RuleLeak,
	} {
		if !rules[rule] {
			t.Errorf("no file breaks the rule %s", rule)
		}
	}
}

// Keys that don't fit into the memory are compared in several passes, and found all the same.
func TestKeysBeyondMemory(t *testing.T) {
	c := decode(t, descriptor("schema:\n  primaryKey: id\n  fields:\n    - {name: id, type: integer}\n    - {name: v, type: integer}\nquality:\n  duplicates: 0\n"))
	var text strings.Builder
	text.WriteString("id,v\n")
	const rows = 20_000
	for i := range rows {
		fmt.Fprintf(&text, "%d,%d\n", i%(rows/2), i/2)
	}
	path := write(t, text.String())
	scratch := t.TempDir()
	r, err := Validate(t.Context(), c, path, Options{Memory: 1 << 18, Scratch: scratch, Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := []Count{{RulePrimaryKey, "id", rows / 2}}
	if diff := cmp.Diff(want, r.Counts); diff != "" {
		t.Error(diff)
	}
	if f := r.Findings[0]; f.Row != rows/2+2 || f.Message != `"0" is the key of row 2, too` {
		t.Errorf("%+v", f)
	}
	empty(t, scratch)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v is left in the scratch directory, %v", entries, err)
	}
}

// Ctrl-C ends the judging soon, wherever it is, and leaves nothing behind.
func TestCancel(t *testing.T) {
	path := writeFeatures(t, 50_000)
	for after := time.Duration(0); after < 60*time.Millisecond; after += 6 * time.Millisecond {
		ctx, cancel := context.WithCancel(t.Context())
		scratch := t.TempDir()
		goroutines := runtime.NumGoroutine()
		var cancelled time.Time
		timer := time.AfterFunc(after, func() { cancelled = time.Now(); cancel() })
		_, err := Validate(ctx, features(), path, Options{Memory: 1 << 20, Scratch: scratch})
		took := time.Since(cancelled)
		if !timer.Stop() {
			if !errors.Is(err, context.Canceled) && err != nil {
				t.Errorf("after %s: %v", after, err)
			}
			if took > 10*time.Second { // 100 ms on a machine that does nothing else
				t.Errorf("after %s: ended %s later", after, took)
			}
		}
		cancel()
		empty(t, scratch)
		if n := runtime.NumGoroutine(); n > goroutines+1 {
			t.Errorf("%d goroutines, %d before", n, goroutines)
		}
	}
}

func TestFilesThatCannotBeJudged(t *testing.T) {
	c := decode(t, descriptor(twoColumns))
	dir := t.TempDir()
	r, err := Validate(t.Context(), c, filepath.Join(dir, "none.csv"), Options{})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Rule != RuleMissing {
		t.Errorf("missing file: %+v, %v", r, err)
	}
	if _, err := Validate(t.Context(), c, dir, Options{}); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	path := write(t, "id,text\n1,a\n2,b\n")
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Validate(t.Context(), c, path, Options{}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("unreadable file: %v", err)
		}
	}
}

// A file that changes while it is read is not judged.
func TestChangedFile(t *testing.T) {
	c := decode(t, descriptor(twoColumns))
	for name, change := range map[string]func(string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("5,e\n")
			return errors.Join(err, f.Close())
		},
		"shrinks": func(path string) error { return os.Truncate(path, 20) },
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("id,text\n1,a\n"), 0o600), os.Rename(path+".new", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "id,text\n1,a\n2,b\n"+strings.Repeat("3,c\n", 10_000))
			done := false
			_, err := Validate(t.Context(), c, path, Options{BlockSize: 1000, Workers: 1, Progress: func(int64, int64) {
				if !done {
					done = true
					if err := change(path); err != nil {
						t.Error(err)
					}
				}
			}})
			if !errors.Is(err, records.ErrChanged) {
				t.Error(err)
			}
		})
	}
}

// Encodings, marks and compression change nothing about what is found.
func TestEncodings(t *testing.T) {
	const text = "id,text\n1,a\nx,ä\n3,c\n"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]struct{ declared, text string }{
		"utf-8":        {"encoding: utf-8", text},
		"utf-8-sig":    {"encoding: utf-8-sig", "\ufeff" + text},
		"windows-1252": {"encoding: windows-1252", strings.ReplaceAll(text, "ä", "\xe4")},
		"crlf":         {"encoding: utf-8", strings.ReplaceAll(text, "\n", "\r\n")},
		"no last line": {"encoding: utf-8", strings.TrimSuffix(text, "\n")},
		"gzip":         {"compression: gz", packed.String()},
	} {
		t.Run(name, func(t *testing.T) {
			c := decode(t, descriptor(content.declared+twoColumns))
			r, err := Validate(t.Context(), c, write(t, content.text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{`type-error id row 3 field 1: "x" is no integer`}, lines(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
