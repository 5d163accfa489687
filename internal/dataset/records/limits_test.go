package records

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// read1 returns the first block of a file.
func read1(t testing.TB, data []byte) *Block {
	t.Helper()
	g, err := newGrammar(standard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReader(bytes.NewReader(data), g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLimits(t *testing.T) {
	o := Options{Dialect: standard, limits: limits{record: 64, cell: 16, cells: 8}}
	o.Dialect.CommentChar = '#'
	x := func(n int) string { return strings.Repeat("x", n) }
	judge(t, []given{
		{"cell as long as can be", x(16) + "\n", x(16), ""},
		{"cell too long", "a\n" + x(17) + ",b\n", "a / " + x(17) + "|b", "too-long@1.0"},
		{"quoted cell as long as can be", "\"\"\"" + x(15) + "\"\n", "\"" + x(15), ""},
		{"quoted cell too long", "\"\"\"" + x(16) + "\"\n", "\"" + x(16), "too-long@0.0"},
		{"record as long as can be", x(15) + strings.Repeat(",", 7) + x(41) + "\na\n", x(15) + strings.Repeat("|", 7) + x(41) + " / a", "too-long@0.7"},
		{"record of the last length without end", x(64), x(64), "too-long@0.0"},
		{"record too long", "a\n" + x(60) + ",123456789,b\nc\n", "a / " + x(60) + "|123 / c", "too-long@1.0 too-long@1.1"},
		{"record too long at the end", x(65), x(64), "too-long@0.0"},
		{"cut in a character", x(63) + "é\nb\n", x(63) + " / b", "too-long@0.0"},
		{"cut in a line end", x(63) + "\r\nb\n", x(63) + " / b", "too-long@0.0"},
		{"quote open for too long", "a\n\"" + x(80) + "\",b\nc\n", "a / " + x(63) + " / c", "unterminated-quote@1.0 too-long@1.0"},
		{"quote open to the end", "a\n\"" + strings.Repeat("x\n", 80), "a / " + strings.Repeat("x\n", 31) + "x", "unterminated-quote@1.0 too-long@1.0"},
		{"too many cells", "a\n1,2,3,4,5,6,7,8,9,10\nb\n", "a / 1|2|3|4|5|6|7|8 / b", "too-long@1.8"},
		{"as many cells as can be", "1,2,3,4,5,6,7,8\n", "1|2|3|4|5|6|7|8", ""},
		{"comment too long", "a\n#" + x(100) + "\nb\n", "a / b", "too-long@1.0"},
	}, o)
}

func TestLinesBehindACutRecord(t *testing.T) {
	o := Options{Dialect: standard, limits: limits{record: 64, cell: 16, cells: 8}}
	text := "a\n\"" + strings.Repeat("x\n", 50) + "\"\nb\n" + strings.Repeat("y", 70) + "\nc\n"
	for _, size := range []int{0, 1, 7, 50} {
		o.BlockSize = size
		got := read(t, []byte(text), o)
		if diff := cmp.Diff([]int{0, 1, 52, 53, 54}, got.Lines); diff != "" || got.Total != 55 {
			t.Errorf("of %d lines (-want +got):\n%s", got.Total, diff)
		}
	}
}

// endless is text of any length.
type endless struct {
	text string
	left int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := int(min(e.left, int64(len(p))))
	for i := range n {
		p[i] = e.text[i%len(e.text)]
	}
	e.left -= int64(n)
	return n, nil
}

// TestMemoryIsBounded reads long files in which nothing ends, in the sizes that count.
func TestMemoryIsBounded(t *testing.T) {
	for name, text := range map[string][2]string{
		"one line": {"", "x"}, "an open quote": {"\"", "x\n"}, "delimiters": {"", ","}, "blank lines": {"", "\n"},
		"NULs": {"", "\x00,"}, "carriage returns": {"", "\r"}, "bytes that are no text": {"", "\xff,"}, "quotes": {"", "\"\""},
		"records of 3 MB": {"", strings.Repeat("x", 3_000_000) + "\n"},
	} {
		size := int64(18 << 20) // longer than a record may be
		if !strings.Contains(text[1], "x") {
			size = 2 << 20 // each byte is a cell, a record or a problem, of which a record has fewer than that
		}
		t.Run(name, func(t *testing.T) {
			g, err := newGrammar(standard)
			if err != nil {
				t.Fatal(err)
			}
			src := io.MultiReader(strings.NewReader(text[0]), &endless{text: text[1], left: size})
			r, err := newReader(src, g, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var most uint64
			for i := 0; ; i++ {
				b, err := r.Next(context.Background())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				b.Parse()
				if i%6 == 0 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapAlloc)
				}
				r.Release(b)
			}
			t.Logf("at most %d MB in use", most>>20)
			if most > 64<<20 {
				t.Errorf("%d MB are in use beside a block, want at most 64", most>>20)
			}
		})
	}
}

// TestFarSearchesEnd reads files in which something is looked for that is far away, or not there: in quadratic time it
// would run into the test's own limit. BenchmarkParse has the times.
func TestFarSearchesEnd(t *testing.T) {
	d := standard
	d.EscapeChar, d.CommentChar, d.SkipInitialSpace = '\\', '#', true
	for name, text := range map[string]string{
		"escapes": "\\x", "quotes": "\"\"", "open quotes and escapes": "\"\\\"", "spaces": " ", "cells of spaces": ", ", "comments": "#\n",
		"NULs": "\x00,", "no text": "\xff,", "carriage returns": "\r,", "short quoted cells": "\"\",",
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.Repeat(text, 128<<10/len(text)))
			for _, d := range []contract.Dialect{standard, d} {
				for _, size := range []int{0, 4096} {
					read(t, data, Options{Dialect: d, BlockSize: size})
				}
			}
		})
	}
}
