package records

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// standard is the dialect of a contract that says nothing.
var standard = contract.Dialect{Delimiter: ',', QuoteChar: '"', DoubleQuote: true, Header: true}

// A reading is all that is in a file, with places counted from its beginning.
type reading struct {
	Records  [][]string
	Lines    []int // of each record
	Rows     []int // of each record
	Total    int   // lines
	Problems []string
	Counts   map[Kind]int
	Err      string
}

// read reads a file from memory.
func read(t testing.TB, data []byte, o Options) reading {
	t.Helper()
	g, err := newGrammar(o.Dialect)
	if err != nil {
		return reading{Err: err.Error()}
	}
	var src io.Reader = bytes.NewReader(data)
	switch o.BlockSize { // what a source gives at once must not matter either
	case 2:
		src = iotest.OneByteReader(src)
	case 3, 31:
		src = iotest.DataErrReader(src)
	case 7:
		src = iotest.HalfReader(src)
	}
	r, err := newReader(src, g, o)
	if err != nil {
		return reading{Err: err.Error()}
	}
	return readAll(t, r)
}

func readAll(t testing.TB, r *Reader) reading {
	t.Helper()
	all := reading{Counts: map[Kind]int{}}
	lines, rows, index := 0, 0, 0
	kept := map[Kind]int{}
	for {
		b, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			all.Total = lines
			return all
		}
		if err != nil {
			all.Err = err.Error()
			return all
		}
		if b.Index != index {
			t.Fatalf("block %d comes as number %d", b.Index, index)
		}
		index++
		b.Parse()
		check(t, b)
		base := len(all.Records)
		for _, p := range b.Problems {
			if kept[p.Kind]++; kept[p.Kind] <= Kept {
				all.Problems = append(all.Problems, fmt.Sprintf("%s record %d line %d cell %d: %s",
					p.Kind, base+p.Record, lines+p.Line, p.Cell, p.Detail))
			}
		}
		for kind, n := range b.Counts {
			if n > 0 {
				all.Counts[kind] += n
			}
		}
		for rec := range b.Records {
			var cells []string
			for c := range b.Cells(rec) {
				cells = append(cells, string(b.Cell(rec, c)))
			}
			all.Records = append(all.Records, cells)
			all.Lines = append(all.Lines, lines+b.Line(rec))
			all.Rows = append(all.Rows, rows+b.Row(rec))
		}
		lines += b.Lines
		rows += b.Rows
		r.Release(b)
	}
}

// check says whether a parsed block is what its comment promises.
func check(t testing.TB, b *Block) {
	t.Helper()
	if len(b.First) != b.Records+1 || int(b.First[b.Records]) != len(b.Start) || len(b.Start) != len(b.End) {
		t.Fatalf("%d records, %d firsts, %d starts, %d ends", b.Records, len(b.First), len(b.Start), len(b.End))
	}
	for r := range b.Records {
		if b.Cells(r) < 1 {
			t.Fatalf("record %d has %d cells", r, b.Cells(r))
		}
	}
	last := uint32(0)
	for i := range b.Start {
		if b.Start[i] < last || b.End[i] < b.Start[i] || int(b.End[i]) > len(b.Data) {
			t.Fatalf("cell %d is %d..%d of %d, behind %d", i, b.Start[i], b.End[i], len(b.Data), last)
		}
		last = b.End[i]
	}
	total := map[Kind]int{}
	for _, p := range b.Problems {
		if total[p.Kind]++; p.Record > b.Records || p.Line > b.Lines || p.Detail == "" {
			t.Fatalf("problem is out of place: %+v", p)
		}
	}
	for kind, n := range b.Counts {
		if min(n, Kept) != total[kind] {
			t.Fatalf("%d of %d problems %s are kept", total[kind], n, kind)
		}
	}
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
