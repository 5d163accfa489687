package terminal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

func TestWrap(t *testing.T) {
	mark := func(s string) string { return "<" + s + ">" }
	tests := []struct {
		name        string
		spans       []span
		first, hang string
		columns     int
		want        []string
	}{
		{"fits", []span{{nil, "a b"}}, "", "", 10, []string{"a b"}},
		{"no end", []span{{nil, "a b c d e"}}, "  ", "", 0, []string{"  a b c d e"}},
		{"between words", []span{{nil, "one two three"}}, "- ", "  ", 9, []string{"- one two", "  three"}},
		{"styles keep their spaces", []span{{mark, "one two"}, {nil, " three"}}, "", "", 20, []string{"<one two> three"}},
		{"a style over two lines", []span{{mark, "one two three"}}, "", " ", 8, []string{"<one two>", " <three>"}},
		{"no space between spans", []span{{mark, "not judged"}, {nil, ": all"}}, "", "", 20, []string{"<not judged>: all"}},
		{"a word longer than a line", []span{{nil, "abcdefghij"}}, "", " ", 4, []string{"abcd", " efg", " hij"}},
		{"wide letters", []span{{nil, "電力電力"}}, "", "", 5, []string{"電力", "電力"}},
		{"an emoji is not divided", []span{{nil, "ab👩‍🔬cd"}}, "", "", 3, []string{"ab", "👩‍🔬c", "d"}},
		{"kept together", []span{{nil, "it took 9.8" + nbsp + "s"}}, "", "", 12, []string{"it took", "9.8 s"}},
		{"spaces stay", []span{{nil, "fix    mage fix"}}, "  ", "", 40, []string{"  fix    mage fix"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, wrap(test.spans, test.first, test.hang, test.columns)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two three", "four", 10)
	f.Add("電力👩‍🔬 é", " \u00a0x", 3)
	f.Fuzz(func(t *testing.T, a, b string, columns int) {
		a, b = report.Line(a), report.Line(b)
		columns = 4 + max(columns, -columns)%100
		if columns < 4 {
			return // the smallest int
		}
		lines := wrap([]span{{nil, a}, {nil, b}}, " ", "  ", columns)
		for _, line := range lines {
			if width(line) > columns {
				t.Fatalf("line %q is wider than %d", line, columns)
			}
		}
		letters := func(s string) string { return strings.NewReplacer(" ", "", nbsp, "").Replace(s) }
		if got, want := letters(strings.Join(lines, "")), letters(a+b); got != want {
			t.Fatalf("wrap lost text: %q, want %q", got, want)
		}
	})
}

func TestFit(t *testing.T) {
	tests := []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"電力電", 4, "電…"}, {"abc", 1, "a"}, {"abc", 0, ""}, {"abc", -1, ""}, {"a👩‍🔬b", 3, "a…"},
	}
	for _, test := range tests {
		if got := fit(test.in, test.n, "…"); got != test.want || width(got) > max(test.n, 0) {
			t.Errorf("fit(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

func TestFrame(t *testing.T) {
	tests := []struct {
		name       string
		f          engine.Finding
		room       int
		code, mark string
	}{
		{"no column", engine.Finding{Line: 1, Frame: "  x = 1"}, 40, "x = 1", ""},
		{"column", engine.Finding{Line: 1, Column: 7, Frame: "  x = 1"}, 40, "x = 1", "    ^"},
		{"span", engine.Finding{Line: 1, Column: 3, EndLine: 1, EndCol: 8, Frame: "  x = 1"}, 40, "x = 1", "^^^^^"},
		{"over lines", engine.Finding{Line: 1, Column: 7, EndLine: 3, EndCol: 1, Frame: "  x = call("}, 40, "x = call(", "    ^^^^^"},
		{"first letter only", engine.Finding{Line: 1, Column: 1, Frame: "def f():"}, 40, "def f():", ""},
		{"after the end", engine.Finding{Line: 1, Column: 6, Frame: "x = 1"}, 40, "x = 1", "     ^"},
		{"tabs", engine.Finding{Line: 1, Column: 4, Frame: "\tx\t= 1"}, 40, "x   = 1", "    ^"},
		{"wide letters", engine.Finding{Line: 1, Column: 6, EndCol: 8, Frame: `電力 = "\d"`}, 40, `電力 = "\d"`, "       ^^"},
		{"emoji of several characters", engine.Finding{Line: 1, Column: 5, Frame: "👩‍🔬 x"}, 40, "👩‍🔬 x", "   ^"},
		{"cut at the end", engine.Finding{Line: 1, Column: 3, Frame: "abcdefghijklmnop"}, 10, "abcdefghi…", "  ^"},
		{"cut on both sides", engine.Finding{Line: 1, Column: 16, Frame: "abcdefghijklmnopqrstuvwxyz"}, 11, "…klmnopqrs…", "      ^"},
		{"cut at the start", engine.Finding{Line: 1, Column: 26, Frame: "abcdefghijklmnopqrstuvwxyz"}, 11, "…uvwxyz", "      ^"},
		{"span longer than the window", engine.Finding{Line: 1, Column: 1, EndCol: 26, Frame: "abcdefghijklmnopqrstuvwxyz"}, 11, "abcdefghij…", "^^^^^^^^^^^"},
		{"empty", engine.Finding{Line: 1, Column: 1, Frame: "   "}, 11, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, mark := frame(test.f, test.room, "…")
			if code != test.code || mark != test.mark {
				t.Errorf("frame =\n%q\n%q, want\n%q\n%q", code, mark, test.code, test.mark)
			}
		})
	}
}

func FuzzFrame(f *testing.F) {
	f.Add("  x = 電力\t# 👩‍🔬", 3, 7, 20)
	f.Fuzz(func(t *testing.T, line string, column, end, room int) {
		line = report.Code(line)
		room = 10 + max(room, -room)%90
		if room < 10 {
			return
		}
		code, mark := frame(engine.Finding{Line: 1, Column: column % 1000, EndCol: end % 1000, Frame: line}, room, "…")
		if width(code) > room {
			t.Fatalf("code %q is wider than %d", code, room)
		}
		if strings.Contains(code, "\t") || strings.Trim(mark, " ^") != "" {
			t.Fatalf("code %q, mark %q", code, mark)
		}
	})
}
