package records

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// rows writes records as "a|b / c|d", to be read at a glance.
func rows(records [][]string) string {
	var lines []string
	for _, r := range records {
		lines = append(lines, strings.Join(r, "|"))
	}
	return strings.Join(lines, " / ")
}

// kinds writes problems as "kind@record.cell".
func kinds(problems []string) string {
	var all []string
	for _, p := range problems {
		f := strings.Fields(p) // kind record N line N cell N: detail
		all = append(all, f[0]+"@"+f[2]+"."+strings.TrimSuffix(f[6], ":"))
	}
	return strings.Join(all, " ")
}

type given struct {
	name     string
	text     string
	rows     string
	problems string
}

func judge(t *testing.T, cases []given, o Options) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{0, 1, 5} {
				o.BlockSize = size
				got := read(t, []byte(c.text), o)
				if got.Err != "" {
					t.Fatal(got.Err)
				}
				if diff := cmp.Diff(c.rows, rows(got.Records)); diff != "" {
					t.Errorf("cells (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.problems, kinds(got.Problems)); diff != "" {
					t.Errorf("problems (-want +got):\n%s\n%s", diff, strings.Join(got.Problems, "\n"))
				}
			}
		})
	}
}

func TestStandardDialect(t *testing.T) {
	judge(t, []given{
		{"empty file", "", "", ""},
		{"header only", "a,b\n", "a|b", ""},
		{"header only, no line end", "a,b", "a|b", ""},
		{"last line without end", "a,b\n1,2", "a|b / 1|2", ""},
		{"last cell empty at the end", "a,b\n1,", "a|b / 1|", ""},
		{"ragged", "a,b\n1\n1,2,3\n", "a|b / 1 / 1|2|3", ""},
		{"only delimiters", ",,\n", "||", ""},
		{"carriage returns", "a,b\r\n1,2\r\n", "a|b / 1|2", ""},
		{"mixed line ends", "a,b\r\n1,2\n3,4\r\n", "a|b / 1|2 / 3|4", ""},
		{"blank row", "a\n\n1\n", "a /  / 1", "blank-row@1.0"},
		{"blank last line", "a,b\n1,2\n\n", "a|b / 1|2 / ", "blank-row@2.0"},
		{"blank row of a carriage return", "a\r\n\r\n", "a / ", "blank-row@1.0"},
		{"quoted nothing is no blank row", "a\n\"\"\n", "a / ", ""},
		{"a space is no blank row", "a\n \n", "a /  ", ""},
		{"quotes", "\"a\",\"b\"\n\"1\",2\n", "a|b / 1|2", ""},
		{"doubled quotes", "\"a \"\"b\"\"\",\"\"\"\"\n", "a \"b\"|\"", ""},
		{"delimiter in quotes", "\"a,b\",c\n", "a,b|c", ""},
		{"line feed in quotes", "\"a\nb\",c\n1,2\n", "a\nb|c / 1|2", ""},
		{"line end in quotes is a line feed", "\"a\r\nb\",c\r\n", "a\nb|c", ""},
		{"lone carriage return in quotes stays", "\"a\rb\",c\n", "a\rb|c", ""},
		{"quotes at the end", "a\n\"b\"", "a / b", ""},
		{"lone carriage return", "a,b\rc,d\n", "a|b\rc|d", "lone-cr@0.1"},
		{"old Macintosh", "a\r1\r2\r", "a\r1\r2", "lone-cr@0.0"},
		{"carriage return at the end", "a\n1\r", "a / 1", "lone-cr@1.0"},
		{"two carriage returns", "a\r\r\n", "a\r", "lone-cr@0.0"},
		{"bare quote", "a,b\n1\"2,3\n", "a|b / 1\"2|3", "bare-quote@1.0"},
		{"bare quotes of a cell are one problem", "1\"2\"3,4\n", "1\"2\"3|4", "bare-quote@0.0"},
		{"quote behind a space", "a, \"b\"\n", "a| \"b\"", "bare-quote@0.1"},
		{"text after quote", "\"a\"b,c\n", "ab|c", "text-after-quote@0.0"},
		{"text with quotes after quote", "\"a\"b\"c\",d\n", "ab\"c\"|d", "text-after-quote@0.0"},
		{"space after quote", "\"a\" ,b\n", "a |b", "text-after-quote@0.0"},
		{"open quote", "a,b\n1,\"2\n3,4\n", "a|b / 1|2\n3,4\n", "unterminated-quote@1.1"},
		{"open quote at the end", "a,\"", "a|", "unterminated-quote@0.1"},
		{"open quote closed by the next one", "a,\"b\nc,\"d\"\n", "a|b\nc,d\"", "text-after-quote@0.1"},
		{"NUL", "a,b\x00c\n", "a|b\x00c", "nul@0.1"},
		{"NUL in quotes", "\"a\x00\x00\",b\n", "a\x00\x00|b", "nul@0.0"},
		{"not utf-8", "a,caf\xe9\n", "a|caf\xe9", "encoding@0.1"},
		{"not utf-8 across a quote", "\"\xc3\"\xa9,b\n", "\xc3\xa9|b", "text-after-quote@0.0 encoding@0.0"},
		{"character cut by a delimiter", "\xc3,\xa9\n", "\xc3|\xa9", "encoding@0.0 encoding@0.1"},
		{"replacement character is text", "\ufffd,é\n", "\ufffd|é", ""},
		{"surrogate", "\xed\xa0\x80\n", "\xed\xa0\x80", "encoding@0.0"},
		{"byte-order mark", "\ufeffa,b\n1,2\n", "a|b / 1|2", "byte-order-mark@0.0"},
		{"byte-order mark before a quote", "\ufeff\"a\",b\n", "a|b", "byte-order-mark@0.0"},
		{"byte-order mark alone", "\ufeff", "", "byte-order-mark@0.0"},
		{"byte-order mark later is text", "a\n\ufeffb\n", "a / \ufeffb", ""},
		{"all at once", "\"a\"\x00\xff\r\"b", "a\x00\xff\r\"b", "text-after-quote@0.0 lone-cr@0.0 nul@0.0 encoding@0.0"},
		{"eight and more", "1234567,12345678,123456789\n1234567\r\n,,,,,,,,,\n", "1234567|12345678|123456789 / 1234567 / |||||||||", ""},
	}, Options{Dialect: standard})
}

func TestOtherDialects(t *testing.T) {
	of := func(change func(d *contract.Dialect)) Options {
		d := standard
		change(&d)
		return Options{Dialect: d}
	}
	judge(t, []given{
		{"semicolon", "a;b\n1,5;\"x;y\"\n", "a|b / 1,5|x;y", ""},
	}, of(func(d *contract.Dialect) { d.Delimiter = ';' }))
	judge(t, []given{
		{"tab", "a\tb\n 1\t\n", "a|b /  1|", ""},
	}, of(func(d *contract.Dialect) { d.Delimiter = '\t' }))
	judge(t, []given{
		{"pipe and apostrophe", "'a|b'|\"c\n'it''s'\n", "a|b|\"c / it's", ""},
	}, of(func(d *contract.Dialect) { d.Delimiter, d.QuoteChar = '|', '\'' }))
	judge(t, []given{
		{"no quotes", "a,\"b\n\"c,\"\n", "a|\"b / \"c|\"", ""},
	}, of(func(d *contract.Dialect) { d.QuoteChar = 0 }))
	judge(t, []given{
		{"quotes not doubled", "\"a\",b\n\"a\"\"b\",c\n", "a|b / a\"b\"|c", "text-after-quote@1.0"},
	}, of(func(d *contract.Dialect) { d.DoubleQuote = false }))
	judge(t, []given{
		{"escape in quotes", `"a \"b\" \\",c` + "\n", `a "b" \|c`, ""},
		{"escape of a delimiter", `a\,b,c` + "\n", "a,b|c", ""},
		{"escape of a quote", `\"a,b` + "\n", `"a|b`, ""},
		{"escape of a line feed", "a\\\nb,c\nd\n", "a\nb|c / d", ""},
		{"escape of a carriage return", "a\\\rb\n", "a\rb", ""},
		{"escape at the end", "a,b\\", "a|b", "trailing-escape@0.1"},
		{"escape at the end of quotes", "a,\"b\\", "a|b", "trailing-escape@0.1 unterminated-quote@0.1"},
		{"escape after quotes", `"a"\,b,c` + "\n", "a,b|c", "text-after-quote@0.0"},
		{"escape in a character", "\\é,b\n", "é|b", ""},
	}, of(func(d *contract.Dialect) { d.EscapeChar, d.DoubleQuote = '\\', false }))
	judge(t, []given{
		{"the escape is the quote", "\"a\"\"b\",c\n", "a\"b|c", ""},
	}, of(func(d *contract.Dialect) { d.EscapeChar, d.DoubleQuote = '"', false }))
	judge(t, []given{
		{"comments", "# one \"\na,b\n#two\n1,#2\n#3", "a|b / 1|#2", ""},
		{"only comments", "#1\n#2\n", "", ""},
		{"a quoted mark is none", "\"#a\",b\n", "#a|b", ""},
		{"a space before is none", " #a\n", " #a", ""},
		{"none between quotes", "\"a\n#b\",c\n", "a\n#b|c", ""},
		{"a comment of other bytes", "a\n#\xe9\x00\nb\n", "a / b", "nul@1.0 encoding@1.0"},
	}, of(func(d *contract.Dialect) { d.CommentChar = '#' }))
	judge(t, []given{
		{"spaces", "a, b,  \"c, d\" \n   x,   \n", "a|b|c, d  / x|", "text-after-quote@0.2"},
		{"spaces behind stay", "a , b \n", "a |b ", ""},
		{"line of spaces", "a\n  \nb\n", "a /  / b", "blank-row@1.0"},
		{"line of spaces at the end", "a\n  ", "a / ", "blank-row@1.0"},
		{"tabs stay", "a,\tb\n", "a|\tb", ""},
		{"spaces at the end", "a,  ", "a|", ""},
	}, of(func(d *contract.Dialect) { d.SkipInitialSpace = true }))
}

func TestZeroDialectIsTheStandard(t *testing.T) {
	judge(t, []given{{"quotes", "\"a,\"\"b\"\n", "a,\"b", ""}}, Options{})
}

func TestDialectsThatCannotBeRead(t *testing.T) {
	for want, d := range map[string]contract.Dialect{
		"set the dialect's delimiter":       {QuoteChar: '"'},
		`quoteChar "\n" can't be told`:      {Delimiter: ',', QuoteChar: '\n'},
		`delimiter "\xa7" can't be told`:    {Delimiter: 0xa7},
		`delimiter and commentChar are bo`:  {Delimiter: ',', CommentChar: ','},
		`quoteChar and commentChar are bo`:  {Delimiter: ',', QuoteChar: '"', CommentChar: '"'},
		`delimiter is a space, which skipI`: {Delimiter: ' ', SkipInitialSpace: true},
	} {
		if got := read(t, nil, Options{Dialect: d}); !strings.Contains(got.Err, want) {
			t.Errorf("error is %q, want it to say %q", got.Err, want)
		}
	}
}

func TestLinesAndRows(t *testing.T) {
	d := standard
	d.CommentChar = '#'
	text := "# c\nid,text\n1,\"a\n\nb\"\n#c\n#c\n2,\"x\"\r\n\n3,\"open\nto the end\n"
	for _, size := range []int{0, 1, 9} {
		got := read(t, []byte(text), Options{Dialect: d, BlockSize: size})
		if diff := cmp.Diff([]int{1, 2, 7, 8, 9}, got.Lines); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{1, 2, 5, 6, 7}, got.Rows); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		want := []string{
			"blank-row record 3 line 8 cell 0: " + blankDetail,
			"unterminated-quote record 4 line 9 cell 1: " + openDetail,
		}
		if diff := cmp.Diff(want, got.Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

func TestProblemsAreCounted(t *testing.T) {
	for _, text := range []string{strings.Repeat("\n", 2500), strings.Repeat("x\x00,\xff\n\n", 2500)} {
		for _, size := range []int{0, 1, 4096} {
			got := read(t, []byte(text), Options{Dialect: standard, BlockSize: size})
			for kind, n := range got.Counts {
				if n != 2500 {
					t.Errorf("%d problems %s are counted, want 2500", n, kind)
				}
			}
			if len(got.Problems) != Kept*len(got.Counts) {
				t.Errorf("%d problems are kept, want %d of each of %d kinds", len(got.Problems), Kept, len(got.Counts))
			}
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, quoted := range []int{0, 17} {
		data := numbers(3000, quoted, "\n")
		b := read1(t, data)
		b.Parse()
		if n := testing.AllocsPerRun(10, func() {
			b.reset()
			b.Data = append(b.Data, data...)
			b.Parse()
		}); n > 0 {
			t.Errorf("Parse of a block in use makes %v allocations", n)
		}
	}
}

// TestWorkers parses blocks on several goroutines while others are read.
func TestWorkers(t *testing.T) {
	data := append(numbers(20_000, 3, "\r\n"), numbers(20_000, 0, "\n")...)
	path := write(t, "data.csv", data)
	r := open(t, path, Options{BlockSize: 64 << 10})
	blocks := make(chan *Block, 4)
	counts := make(chan int, 4)
	for range 4 {
		go func() {
			cells := 0
			for b := range blocks {
				b.Parse()
				cells += len(b.Start)
				r.Release(b)
			}
			counts <- cells
		}()
	}
	for {
		b, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Bytes()
		blocks <- b
	}
	close(blocks)
	cells := 0
	for range 4 {
		cells += <-counts
	}
	if err := r.Close(); err != nil || cells != 40_000*17 {
		t.Errorf("%d cells, %v", cells, err)
	}
}
