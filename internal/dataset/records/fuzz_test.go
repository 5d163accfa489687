package records

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// pieces are what malformed files are made of.
var pieces = []string{
	"a", "b", "é", "1.5", "2026-01-01", ",", ";", "\t", "|", "\"", "\"\"", "'", "\n", "\n\n", "\r\n", "\r", "\r\r\n", " ", "  ",
	"#", "# c\n", "\\", "\\\"", "\\\n", "\x00", "\xff", "\xc3", "\xa9", "\u2028", "\ufeff", "\ufffd", "\"a\",\"b\"\n", "1,2,3\n", "\"x\ny\"",
	"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff", "\x1f\x8b\x08", "12345678,", "1234567\n", "87654321\r\n", "\"12345678\",",
}

// made returns a file made of pieces, by chance.
func made(rng *rand.Rand) []byte {
	var b bytes.Buffer
	for range rng.IntN(40) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.Bytes()
}

// FuzzAgainstEncodingCSV holds that whatever encoding/csv rejects has a problem, and that where neither finds one the
// cells are the same.
func FuzzAgainstEncodingCSV(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		f.Add(made(rng), byte(rng.Uint32()))
	}
	f.Fuzz(againstCSV)
}

func againstCSV(t *testing.T, data []byte, how byte) {
	d := standard
	d.Delimiter = [...]byte{',', ';', '\t', '|'}[how&3]
	if how&4 != 0 {
		d.CommentChar = '#'
	}
	// Only with spaces is skipping the same in both: see the package's comment.
	d.SkipInitialSpace = how&8 != 0 && d.Delimiter != '\t' && !bytes.ContainsAny(data, "\t\v\f\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000"+
		"\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a")
	if bytes.HasPrefix(data, []byte(markUTF8)) || bytes.HasPrefix(data, []byte("\x1f\x8b\x08")) {
		return // encoding/csv takes them for text
	}
	got := read(t, data, Options{Dialect: d, BlockSize: 1 + int(how>>4)*7})
	if got.Err != "" {
		t.Fatal(got.Err)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = rune(d.Delimiter)
	r.Comment = rune(d.CommentChar)
	r.TrimLeadingSpace = d.SkipInitialSpace
	r.FieldsPerRecord = -1
	var want [][]string
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if len(got.Problems) == 0 {
				t.Fatalf("%q: encoding/csv says %v, and nothing is noted; cells %q", data, err, got.Records)
			}
			return
		}
		want = append(want, record)
	}
	// Blank lines are left out by encoding/csv, and problems here.
	if delete(got.Counts, BlankRow); len(got.Counts) > 0 {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(got.Records), func(r []string) bool { return len(r) == 1 && r[0] == "" })
	want = slices.DeleteFunc(want, func(r []string) bool { return len(r) == 1 && r[0] == "" })
	if diff := cmp.Diff(want, kept, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%q: encoding/csv (-), records (+):\n%s", data, diff)
	}
}

// choose makes options of a number.
func choose(n uint32) Options {
	pick := func(from string) byte {
		c := from[n%uint32(len(from))]
		n /= uint32(len(from))
		return c
	}
	return Options{
		Dialect: contract.Dialect{
			Delimiter: pick(",;\t|"), QuoteChar: pick("\"\"'\x00"), DoubleQuote: pick("\x00\x01\x01") == 1,
			EscapeChar: pick("\x00\x00\\"), CommentChar: pick("\x00#"), SkipInitialSpace: pick("\x00\x01") == 1,
		},
		Encoding:    []string{"utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "latin1", "cp1252"}[pick("\x00\x01\x02\x03\x04\x05\x06\x07")],
		Compression: []string{"", "", "", "gz"}[pick("\x00\x01\x02\x03")],
		limits:      limits{record: 1 << (5 + pick("\x00\x01\x02\x0f")), cell: 1 << (3 + pick("\x00\x11")), cells: 1 << (2 + pick("\x00\x12"))},
	}
}

// FuzzReader holds that nothing crashes, and that all is the same whatever the size of the blocks.
func FuzzReader(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		data := made(rng)
		if rng.IntN(4) == 0 {
			data = zip(f, data)
		}
		f.Add(data, rng.Uint32(), rng.Uint32N(200))
	}
	f.Fuzz(sameBySize)
}

func sameBySize(t *testing.T, data []byte, how, size uint32) {
	o := choose(how)
	o.BlockSize = 1 << 16
	whole := read(t, data, o)
	for _, size := range []int{1, 2, 7, 31, int(size%5000) + 1} {
		o.BlockSize = size
		part := read(t, data, o)
		if whole.Err != "" && whole.Err == part.Err {
			continue // how much was read before is of no use to anyone
		}
		if !reflect.DeepEqual(whole, part) {
			t.Fatalf("%q with %+v: in one block (-), in blocks of %d bytes (+):\n%s", data, o, size, cmp.Diff(whole, part))
		}
	}
}

// TestMade runs both on files by chance, in a way that takes the same files each time.
func TestMade(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		data := made(rng)
		how := rng.Uint32()
		againstCSV(t, data, byte(how))
		sameBySize(t, data, how, rng.Uint32N(200))
	}
}
