package benchmark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// documentFile is in the run's artifacts; docs/benchmark.schema.json describes it.
const documentFile = "benchmark.json"

const documentSchema = 1

// A Document is benchmark.json: what was measured, on what, and what became of it. Times are seconds.
type Document struct {
	Schema   int       `json:"schema_version"`
	Machine  Machine   `json:"machine"`
	Software Software  `json:"software"`
	Measures []Measure `json:"measures"`
}

// A Measure is one thing that was timed, on one data set.
type Measure struct {
	Name   string `json:"name"`   // of the step
	Judges string `json:"judges"` // what was timed
	Data   string `json:"data"`   // the data set whose models or requests it takes; empty if it takes none
	// Subject stands for what was measured beside the code: the data, the command, the rate. Only figures of one
	// subject are compared.
	Subject     string       `json:"subject"`
	Unit        string       `json:"unit"` // what one value is of, in the plural: rounds, requests
	Limit       float64      `json:"limit"`
	JudgedOn    string       `json:"judged_on"` // "p95"
	Summary     Summary      `json:"summary"`
	LoadAverage *float64     `json:"load_average"` // of the last minute, at the start; null if it can't be told
	Repetitions []Repetition `json:"repetitions"`
	Disturbed   []Busy       `json:"disturbed"` // repetitions that did not count, since the machine was too busy
	Comparison  Comparison   `json:"comparison"`
}

// A Summary describes values in seconds.
type Summary struct {
	Count  int     `json:"count"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func summarize(values []float64) Summary {
	return Summary{
		Count: len(values), Min: quantile(values, 0), Median: quantile(values, 0.5),
		P95: quantile(values, 0.95), P99: quantile(values, 0.99), Max: quantile(values, 1),
	}
}

// addToDocument puts measures into the run's document. The steps that call it never run at the same time.
func addToDocument(artifacts string, machine Machine, software Software, measures ...Measure) error {
	doc, err := readDocument(artifacts)
	if errors.Is(err, fs.ErrNotExist) {
		doc, err = Document{Schema: documentSchema}, nil
	}
	if err != nil {
		return err
	}
	doc.Machine, doc.Software = machine, software
	for _, m := range measures {
		m.Repetitions = rounded(m.Repetitions)
		doc.Measures = append(doc.Measures, m)
	}
	content, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write %s: %w", documentFile, err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, content, "", " "); err != nil {
		return fmt.Errorf("write %s: %w", documentFile, err)
	}
	return replaceFile(filepath.Join(artifacts, documentFile), append(b.Bytes(), '\n'))
}

func readDocument(artifacts string) (Document, error) {
	var doc Document
	if err := decodeFile(filepath.Join(artifacts, documentFile), &doc); err != nil {
		return doc, err
	}
	if doc.Schema != documentSchema {
		return doc, fmt.Errorf("read %s: its schema is %d, this program reads %d", documentFile, doc.Schema, documentSchema)
	}
	return doc, nil
}

// rounded keeps of each round what a clock can tell: tenths of a microsecond.
func rounded(repetitions []Repetition) []Repetition {
	out := make([]Repetition, len(repetitions))
	for i, r := range repetitions {
		out[i] = Repetition{Busy: r.Busy, Rounds: make([]float64, len(r.Rounds))}
		for j, v := range r.Rounds {
			out[i].Rounds[j] = math.Round(v*1e7) / 1e7
		}
	}
	return out
}

// decodeFile reads one JSON object, and nothing but it.
func decodeFile(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: something follows the JSON object", filepath.Base(path))
	}
	return nil
}

// replaceFile replaces a report or a baseline, whose directory it makes.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return wholefile.Write(path, content, 0o644)
}
