package infer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// text builds YAML line by line, since the comments are half of what a person needs.
type text struct{ strings.Builder }

func (w *text) line(format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...) // it never fails
}

// write makes the descriptor.
func (t *table) write(file string, o Options) string {
	w := &text{}
	w.line("# A first contract, guessed from the values of one file: go through every \"review:\", then remove it.")
	w.line("name: %s", quote(cmp.Or(o.Name, nameOf(file))))
	w.line("# review: say what one row is.")
	w.line("description: One row is.")
	w.line("path: %s", quote(cmp.Or(o.Path, filepath.Base(file))))
	if o.DirectoryVariable != "" {
		w.line("directoryVariable: %s", quote(o.DirectoryVariable))
	}
	w.line("profile: tabular-data-resource")
	w.line("format: csv")
	if t.form.compression != "" {
		w.line("compression: %s", t.form.compression)
	}
	if t.form.encodingGuess != "" {
		w.line("# review: %s.", t.form.encodingGuess)
	}
	w.line("encoding: %s", t.form.encoding)
	t.writeDialect(w)
	w.line("schema:")
	t.writeMissing(w)
	t.writeKey(w)
	w.line("  fields:")
	for _, c := range t.columns {
		c.write(w)
	}
	t.writeQuality(w)
	return w.String()
}

func (t *table) writeDialect(w *text) {
	w.line("dialect:")
	w.line("  # review: guessed from the first rows.")
	w.line("  delimiter: %s", quoted(string(t.form.dialect.Delimiter)))
	if t.form.crlf {
		w.line(`  lineTerminator: "\r\n"`)
	}
	if !t.form.dialect.Header {
		w.line("  # review: the first row looks like values, so the columns have no names; give them better ones below.")
	}
	w.line("  header: %v", t.form.dialect.Header)
}

func (t *table) writeMissing(w *text) {
	if len(t.missing) == 1 {
		return
	}
	all := make([]string, len(t.missing))
	for i, token := range t.missing {
		all[i] = quoted(token)
	}
	w.line("  # review: cells that were taken for no value; in a column of texts they may be one.")
	w.line("  missingValues: [%s]", strings.Join(all, ", "))
}

func (t *table) writeKey(w *text) {
	if len(t.key) == 0 {
		w.line("  # review: no column, and no pair with a time, tells each row from the others. Is there a primaryKey?")
		return
	}
	w.line("  # review: this tells each row of the file from the others. Is it meant to?")
	w.line("  primaryKey: %s", names(t.key))
}

func (c *column) write(w *text) {
	w.line("    - name: %s", quote(c.name))
	switch {
	case c.ambiguous != "":
		w.line("      # review: %q fits every cell as well.", c.ambiguous)
	case c.cells == c.missing:
		w.line("      # review: it has no value at all.")
	default:
		w.line("      # review: every cell fits this type.")
	}
	w.line("      type: %s", c.kind)
	if c.format != "" {
		w.line("      format: %s", quoted(c.format))
	}
	if c.kind == contract.TypeBoolean {
		w.line("      trueValues: [%s]", quoted(c.trueValues[0]))
		w.line("      falseValues: [%s]", quoted(c.falseValues[0]))
	}
	var constraints text
	if c.missing == 0 {
		constraints.line("        # review: no cell is without a value.")
		constraints.line("        required: true")
	}
	switch {
	case c.kind == contract.TypeNumber, c.kind == contract.TypeInteger:
		low, high := wide(c.low, c.high, c.kind == contract.TypeInteger)
		constraints.line("        # review: the values are %s to %s; the range is wider by half of that or more.", number(c.low), number(c.high))
		constraints.line("        minimum: %s", number(low))
		constraints.line("        maximum: %s", number(high))
	case len(c.enum) > 0:
		constraints.line("        # review: these are all values that occur. Are there others?")
		all := make([]string, len(c.enum))
		for i, v := range c.enum {
			all[i] = quote(v)
		}
		constraints.line("        enum: [%s]", strings.Join(all, ", "))
	case c.kind == contract.TypeString && c.longest > 0:
		constraints.line("        # review: the longest value has %d bytes.", c.longest)
		constraints.line("        maxLength: %d", 2*c.longest)
	}
	if constraints.Len() > 0 {
		w.line("      constraints:")
		_, _ = w.WriteString(constraints.String()) // it never fails
	}
}

func (t *table) writeQuality(w *text) {
	w.line("quality:")
	w.line("  rows:")
	w.line("    # review: the file has %d rows; this is half of that.", t.rows)
	w.line("    minimum: %d", max(1, t.rows/2))
	if t.ragged > 0 {
		w.line("  # review: %d rows have more or fewer cells than the header: they will be findings.", t.ragged)
	}
	heading := false
	for _, c := range t.columns {
		if c.missing == 0 || c.missing == c.cells {
			continue
		}
		if !heading {
			w.line("  nulls:")
			w.line("    # review: twice the share of missing values that the file has.")
			heading = true
		}
		w.line("    %s: %s", quote(c.name), number(min(1, math.Ceil(2e4*float64(c.missing)/float64(t.rows))/1e4)))
	}
	t.writeConstant(w)
	if t.every == 0 {
		return
	}
	var when []*column
	for _, c := range t.key {
		if c.isTime() {
			when = append(when, c)
		}
	}
	w.line("  interval:")
	w.line("    # review: nine in ten rows of a series, or more, follow the one before by this.")
	w.line("    time: %s", names(when))
	if len(t.series) > 0 {
		w.line("    by: %s", names(t.series))
	}
	w.line("    every: %s", duration(t.every))
	w.line("    gaps: %s", number(math.Ceil(2e4*t.gaps)/1e4))
}

// writeConstant lists the columns of one value, which would be findings.
func (t *table) writeConstant(w *text) {
	var constant []*column
	for _, c := range t.columns {
		if n, exact := c.texts.Distinct(); exact && n <= 1 && t.rows > 1 {
			constant = append(constant, c)
		}
	}
	if len(constant) > 0 {
		w.line("  # review: these columns have one value. Then what are they for?")
		w.line("  constant: %s", names(constant))
	}
}

// wide is a range around the values, wider by half of their span at least on both sides, and rounded. It does not cross
// zero if no value does: most quantities don't.
func wide(low, high float64, integer bool) (minimum, maximum float64) {
	span := high - low
	if span == 0 {
		span = max(math.Abs(high), 1)
	}
	step := math.Pow(10, math.Floor(math.Log10(span))-1) * 5
	if integer {
		step = max(1, step)
	}
	minimum = math.Floor((low-span/2)/step) * step
	maximum = math.Ceil((high+span/2)/step) * step
	if low >= 0 {
		minimum = max(0, minimum)
	}
	if high <= 0 {
		maximum = min(0, maximum)
	}
	return tidy(minimum), tidy(maximum)
}

// tidy takes off what the multiplication left: 0.15000000000000002.
func tidy(v float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return short
}

func number(v float64) string { return strconv.FormatFloat(v+0, 'f', -1, 64) }

func duration(micros int64) string {
	d := time.Duration(micros) * time.Microsecond
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", int64(d/time.Hour))
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", int64(d/time.Minute))
	default:
		return fmt.Sprintf("%ds", int64(d/time.Second))
	}
}

func names(columns []*column) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = quote(c.name)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// quote leaves the quotes out where YAML takes the text for nothing else.
func quote(s string) string {
	words := []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
	if regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`).MatchString(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	return quoted(s)
}

// quoted writes a text as JSON does, which is YAML, too; so nothing in it can be taken for YAML.
func quoted(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil { // a string can always be encoded
		return strconv.Quote(s)
	}
	return strings.TrimSpace(b.String())
}
