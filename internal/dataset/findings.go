package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// about is what findings are counted by, and kept by.
type about struct{ rule, column string }

// findings of a block, or of a file. Of each rule and column the first ones are kept.
type findings struct {
	keep   int
	counts map[about]int64
	kept   map[about]int
	list   []Finding
}

func newFindings(keep int) *findings {
	return &findings{keep: keep, counts: map[about]int64{}, kept: map[about]int{}}
}

// count one, and say whether it is to be added too: so that no text is made for the millionth.
func (f *findings) count(rule, column string) bool {
	a := about{rule, column}
	f.counts[a]++
	return f.counts[a] <= int64(f.keep)
}

func (f *findings) add(found Finding) {
	f.kept[about{found.Rule, found.Column}]++
	f.list = append(f.list, found)
}

// say counts and adds a finding about the whole file.
func (f *findings) say(found Finding) {
	if f.count(found.Rule, found.Column) {
		f.add(found)
	}
}

// merge what comes later in the file: rows and lines are those that precede it.
func (f *findings) merge(other *findings, rows, lines int64) {
	for i := range other.list {
		found := &other.list[i]
		a := about{found.Rule, found.Column}
		if f.kept[a] >= f.keep {
			continue
		}
		f.kept[a]++
		found.Row += rows
		found.Line += lines
		f.list = append(f.list, *found)
	}
	for a, n := range other.counts {
		f.counts[a] += n
	}
}

// result puts both in an order that depends on nothing but themselves. A rule that is judged both row by row and in the
// end has kept too many.
func (f *findings) result() ([]Finding, []Count) {
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Row, b.Row), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	clear(f.kept)
	f.list = slices.DeleteFunc(f.list, func(found Finding) bool {
		a := about{found.Rule, found.Column}
		f.kept[a]++
		return f.kept[a] > f.keep
	})
	counts := make([]Count, 0, len(f.counts))
	for a, n := range f.counts {
		counts = append(counts, Count{Rule: a.rule, Column: a.column, Total: n})
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Column, b.Column))
	})
	return f.list, counts
}

// longestValue in characters, as it is shown.
const longestValue = 80

// shown is a cell as a person can look at it: shortened, and with what would move a terminal's cursor, or hide, escaped.
func shown(b []byte) string {
	var out strings.Builder
	for n := 0; len(b) > 0; n++ {
		if n == longestValue {
			out.WriteString("…")
			break
		}
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, b[0])
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		b = b[size:]
	}
	return out.String()
}

// shownAll is several cells, as shown.
func shownAll(cells [][]byte) string {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = shown(c)
	}
	return strings.Join(texts, ", ")
}
