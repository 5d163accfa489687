// Package infer writes a first contract for a file, from what the file holds. It is a start for a person and no
// contract yet: a file can't say what it should hold, so every guess is marked with "# review:" and ranges are left
// wide. What it writes loads.
//
// It reads the file twice: once for types, ranges and missing values, over all rows and not the first ones, and once
// for keys and intervals among the columns that the first pass left as candidates.
package infer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// Options say what a file can't.
type Options struct {
	Name              string // of the data set; from the file's name if empty
	Path              string // as the contract should say it
	DirectoryVariable string // that Path is relative to, if not the project
}

// Infer reads the file and returns the text of a contract. An error means that the file can't be read as a table.
func Infer(ctx context.Context, file string, o Options) (string, error) {
	form, err := sniff(file)
	if err != nil {
		return "", err
	}
	t := &table{form: form}
	if err := t.each(ctx, file, t.look); err != nil {
		return "", err
	}
	if len(t.columns) == 0 || t.rows == 0 {
		return "", fmt.Errorf("infer a contract of %s: it has no rows of data: a contract is inferred from values", file)
	}
	for _, c := range t.columns {
		c.settle()
	}
	t.missing = t.missingValues()
	for _, c := range t.columns {
		if err := c.finish(t.rows, t.missing); err != nil {
			return "", fmt.Errorf("infer a contract of %s: %w", file, err)
		}
	}
	if err := t.findKey(ctx, file); err != nil {
		return "", err
	}
	return t.write(file, o), nil
}

// A table is what is known of a file.
type table struct {
	form    form
	rows    int64
	ragged  int64 // rows that have more or fewer cells than the header
	columns []*column
	missing []string // cells that hold no value
	key     []*column
	series  []*column // what tells one series from another
	every   int64     // microseconds between rows of a series; 0 if they are not regular
	gaps    float64   // share of intervals that are absent
}

// each calls f for each row of data.
func (t *table) each(ctx context.Context, file string, f func(b *records.Block, record int)) (err error) {
	r, err := records.Open(file, records.Options{
		Dialect: t.form.dialect, Encoding: t.form.encoding, Compression: t.form.compression,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for first := t.form.dialect.Header; ; {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b.Parse()
		for record := range b.Records {
			if first {
				first = false
				t.name(b, record)
				continue
			}
			f(b, record)
		}
		r.Release(b)
	}
}

// name makes the columns from the header, at the first pass.
func (t *table) name(b *records.Block, record int) {
	if t.columns != nil {
		return
	}
	for i := range b.Cells(record) {
		t.columns = append(t.columns, newColumn(string(b.Cell(record, i))))
	}
}

func (t *table) look(b *records.Block, record int) {
	if b.Cells(record) == 1 && len(b.Cell(record, 0)) == 0 && len(t.columns) != 1 {
		return // a blank line
	}
	for i := len(t.columns); i < b.Cells(record) && t.rows == 0; i++ { // there is no header
		t.columns = append(t.columns, newColumn(fmt.Sprintf("field%d", i+1)))
	}
	t.rows++
	if b.Cells(record) != len(t.columns) {
		t.ragged++
	}
	for i, c := range t.columns[:min(len(t.columns), b.Cells(record))] {
		c.add(b.Cell(record, i))
	}
}

// missingValues are what columns of numbers, times and truths hold instead of a value, and the empty cell.
func (t *table) missingValues() []string {
	missing := []string{""}
	for _, c := range t.columns {
		if c.kind == contract.TypeString && c.missing < c.cells {
			continue
		}
		for token := range c.tokens {
			if !slices.Contains(missing, token) {
				missing = append(missing, token)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// nameOf makes a name that a contract may have.
func nameOf(file string) string {
	base := file[strings.LastIndexAny(file, `/\`)+1:]
	base, _, _ = strings.Cut(base, ".")
	base = regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(base), "-")
	if base = strings.Trim(base, "-"); base == "" {
		return "data"
	}
	return base
}

// field is the contract's field that the column was taken for.
func (c *column) field() contract.Field {
	return contract.Field{
		Name: c.name, Type: c.kind, Format: c.format, DecimalChar: '.', BareNumber: true,
		TrueValues: c.trueValues, FalseValues: c.falseValues, MinLength: -1, MaxLength: -1,
	}
}
