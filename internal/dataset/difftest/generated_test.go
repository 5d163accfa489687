package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf16"
)

// A generator makes valid files of random contracts, and spoils most of them.
type generator struct {
	*rand.Rand
	fields    []any
	values    []func() string // a valid cell of each field
	delimiter string
	newline   string
	header    bool
	encoding  string
}

// generate returns n samples, always the same ones for a seed.
func generate(seed uint64, n int) []sample {
	var all []sample
	for i := range n {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		s := g.sample()
		s.name = fmt.Sprintf("generated %d", i)
		all = append(all, s)
	}
	return all
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) sample() sample {
	g.delimiter, g.newline = pick(g, ",", ",", ",", ";", "\t", "|"), pick(g, "\n", "\n", "\r\n")
	g.header, g.encoding = !g.chance(10), pick(g, "utf-8", "utf-8", "utf-8", "utf-8-sig", "iso-8859-1", "utf-16")
	for i := range 1 + g.IntN(5) {
		g.addField(fmt.Sprintf("%c%d", 'a'+i, i))
	}
	more := object{}
	if g.chance(30) {
		more["missingValues"] = pick(g, []string{"", "NA"}, []string{"-"}, []string{"NULL", ""})
	}
	if g.chance(40) {
		key := []string{g.name(g.IntN(len(g.fields)))}
		if other := g.name(g.IntN(len(g.fields))); g.chance(40) && other != key[0] {
			key = append(key, other)
		}
		more["primaryKey"] = key
	}
	descriptor := object{
		"schema":  schema(g.fields, more),
		"dialect": object{"delimiter": g.delimiter, "header": g.header}, "encoding": g.encoding,
	}
	rows := g.rows()
	for g.chance(60) {
		rows = g.spoilRows(rows)
	}
	text := g.text(rows)
	if g.chance(15) {
		text = g.spoilText(text)
	}
	return sample{descriptor: descriptor, data: g.encode(text)}
}

func (g *generator) name(i int) string { return g.fields[i].(object)["name"].(string) }

// addField adds a field of a random type with random constraints that its valid cells meet.
func (g *generator) addField(name string) {
	constraints, more := object{}, object{}
	if g.chance(30) || len(g.fields) == 0 { // a contract that constrains nothing is none to us
		constraints["required"] = true
	}
	if g.chance(10) {
		constraints["unique"] = true
	}
	kind, value := g.kind(constraints, more)
	if len(constraints) > 0 {
		more["constraints"] = constraints
	}
	g.fields = append(g.fields, field(name, kind, more))
	if g.chance(15) {
		always := value
		value = func() string {
			if g.chance(20) {
				return ""
			}
			return always()
		}
	}
	g.values = append(g.values, value)
}

func (g *generator) kind(constraints, more object) (string, func() string) {
	bounds := func(low, high any) {
		if g.chance(50) {
			constraints["minimum"] = low
		}
		if g.chance(50) {
			constraints["maximum"] = high
		}
	}
	switch g.IntN(11) {
	case 0:
		bounds(-50, 1000)
		return "integer", func() string { return pick(g, "%d", "%d", "%03d", " %d") }
	case 1:
		bounds(-0.5, 99.5)
		return "number", func() string { return pick(g, "%.2f", "%g", "%.1e", "%.3f ") }
	case 2:
		return "boolean", func() string { return pick(g, "true", "false", "1", "0", "TRUE") }
	case 3:
		bounds("2020-02-29", "2031-12-31")
		return "date", func() string { return "%date" }
	case 4:
		bounds("2020-01-01T00:00:00Z", "2032-01-01T00:00:00Z")
		zone := pick(g, "Z", "+01:00")
		return "datetime", func() string { return "%dateT%time" + zone }
	case 5:
		more["format"] = pick(g, "%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M")
		return "datetime", func() string {
			return fmt.Sprintf(strings.NewReplacer("%d", "%02[1]d", "%m", "%[2]d", "%Y", "%[3]d", "%H", "%02[4]d", "%M", "%02[5]d").Replace(more["format"].(string)),
				1+g.IntN(28), 1+g.IntN(12), 2020+g.IntN(10), g.IntN(24), g.IntN(60))
		}
	case 6:
		bounds("00:00:00", "23:59:59")
		return "time", func() string { return "%time" }
	case 7:
		bounds(2020, 2031)
		return "year", func() string { return fmt.Sprint(2020 + g.IntN(12)) }
	case 8:
		words := []string{"ok", "estimated", "fault", "ü"}
		constraints["enum"] = words
		return "string", func() string { return pick(g, words...) }
	case 9:
		constraints["pattern"] = "[A-Z]{1,2}-?[0-9]+"
		return "string", func() string { return pick(g, "A-%d", "XY%d") }
	default:
		if g.chance(50) {
			constraints["minLength"], constraints["maxLength"] = 1, 12
		}
		return "string", func() string {
			return pick(g, "x%d", "a b %d", "a,b%d", "a;%d", "say \"%d\"", "ä|%d", "two\nlines", "#%d", "'%d'")
		}
	}
}

// rows are valid ones, in which numbers stand in the place of verbs.
func (g *generator) rows() [][]string {
	var rows [][]string
	if g.header {
		var labels []string
		for i := range g.fields {
			labels = append(labels, g.name(i))
		}
		rows = append(rows, labels)
	}
	for n := range 1 + g.IntN(8) {
		var row []string
		for _, value := range g.values {
			row = append(row, g.fill(value(), n))
		}
		rows = append(rows, row)
	}
	return rows
}

func (g *generator) fill(form string, n int) string {
	form = strings.ReplaceAll(form, "%date", fmt.Sprintf("%d-%02d-%02d", 2020+g.IntN(11), 3+g.IntN(10), 1+g.IntN(28)))
	form = strings.ReplaceAll(form, "%time", fmt.Sprintf("%02d:%02d:%02d", g.IntN(24), g.IntN(60), g.IntN(60)))
	switch {
	case strings.Contains(form, "d"):
		if at := strings.IndexByte(form, '%'); at >= 0 {
			return fmt.Sprintf(form, n*7+g.IntN(7))
		}
	case strings.Contains(form, "%"):
		return fmt.Sprintf(form, float64(g.IntN(9900))/100)
	}
	return form
}

// odd are cells that are right in some fields and wrong in others.
var odd = []string{
	"", "", " ", "x", "0", "-1", "+5", "007", "1.0", "1.", ".5", "1e3", "1e400", "-0", "NaN", "nan", "INF", "-INF", "Infinity", "1_000", "٣", "0x1F",
	"1,5", "1 000", "99999999999999999999", "-1000", "true", "True", "TRUE", "tRUE", "yes", "null", "NULL", "NA", "-", "n/a",
	"2024-02-29", "2023-02-29", "2024-2-9", "20240229", "1999-12-31", "2050-01-01", "29/02/2024", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00",
	"2024-02-29 12:00:00", "2024-02-29T12:00", "2050-02-29T12:00:00+01:00", "2024-02-29T24:00:00Z", "1/2/2024 3:04", "01.02.2024 03:04", "31/02/2024 00:00",
	"12:00:00", "12:00", "24:00:00", "23:59:60", "1:2:3", "2024", "1999", "99", "02024", "ok", "OK", "fault ", "A-1", "A1x", "AB-", "abc", "ein langer Text mit Wörtern",
	"é", "日本", "a\"b", "\"", "\"\"", "a\nb", "\n", "a,b", ";", "|", "\t", "#", "'", "\\", "\u00a0", "\u200b",
}

// spoilRows changes something in the rows. The file may be right none the less.
func (g *generator) spoilRows(rows [][]string) [][]string {
	r := g.IntN(len(rows))
	row := rows[r]
	at := g.IntN(max(len(row), 1))
	switch g.IntN(12) {
	case 0, 1, 2, 3, 4:
		if len(row) > 0 {
			row[at] = pick(g, odd...)
		}
	case 5:
		if len(row) > 1 {
			rows[r] = slices.Delete(row, at, at+1)
		}
	case 6:
		rows[r] = slices.Insert(row, at, pick(g, odd...))
	case 7:
		rows[r] = append(row, pick(g, odd...))
	case 8:
		rows = slices.Insert(rows, r+1, slices.Clone(row))
	case 9:
		if r > 0 || !g.header { // a blank line for a header is a difference of its own
			rows[r] = nil
		}
	case 10:
		if other := g.IntN(max(len(row), 1)); len(row) > 0 {
			row[at], row[other] = row[other], row[at]
		}
	case 11:
		if len(row) > 0 && len(row[at]) > 0 {
			row[at] = row[at][:len(row[at])-1]
		}
	}
	return rows
}

// text writes the rows; cells are quoted if they must, and some that need not.
func (g *generator) text(rows [][]string) string {
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteString(g.delimiter)
			}
			if strings.ContainsAny(cell, g.delimiter+"\"\r\n") || g.chance(5) {
				cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			b.WriteString(cell)
		}
		if n < len(rows)-1 || !g.chance(20) {
			b.WriteString(g.newline)
		}
	}
	return b.String()
}

// spoilText changes what is between the cells.
func (g *generator) spoilText(text string) string {
	at := g.IntN(len(text) + 1)
	switch g.IntN(6) {
	case 0:
		return text[:at] + `"` + text[at:]
	case 1:
		return text[:at] + pick(g, "\r", "\n", "\r\n", "\n\n") + text[at:]
	case 2:
		return text[:at] + pick(g, g.delimiter, " ", "\x00", "\ufeff", "\xff") + text[at:]
	case 3:
		return text[:at]
	case 4:
		return text[at:]
	default:
		end := min(at+1+g.IntN(5), len(text))
		return text[:at] + text[end:]
	}
}

// encode leaves out what the encoding has not.
func (g *generator) encode(text string) []byte {
	switch g.encoding {
	case "utf-8-sig":
		return []byte("\ufeff" + text)
	case "iso-8859-1":
		var made []byte
		for _, r := range text {
			if r < 0x100 {
				made = append(made, byte(r))
			}
		}
		return made
	case "utf-16":
		made := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(text)) {
			made = append(made, byte(unit), byte(unit>>8))
		}
		return made
	}
	return []byte(text)
}
