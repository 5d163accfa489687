package data

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// Report is the name of the artifact; its schema is docs/data-report.schema.json.
const Report = "data-report.json"

// reportVersion changes when a reader of the older form would misread the newer one.
const reportVersion = 1

// States of a data set in the report.
const (
	statePassed    = "passed"
	stateFailed    = "failed"
	stateSkipped   = "skipped"
	stateNotJudged = "not_judged" // it was not asked for, is not ready yet, or could not be judged
)

// A book holds what is known of all data sets, and writes the report anew whenever one more is judged: a run that is
// ended early leaves a report that says what it lacks.
type book struct {
	mu  sync.Mutex
	doc document
}

type document struct {
	Version  int      `json:"version"`
	DataSets []setDoc `json:"data_sets"`
}

type setDoc struct {
	Name     string           `json:"name"`
	Contract string           `json:"contract"`
	Path     string           `json:"path"`
	State    string           `json:"state"`
	Reason   string           `json:"reason,omitempty"` // of a skip
	Rows     int64            `json:"rows"`
	Bytes    int64            `json:"bytes"`
	Counts   []countDoc       `json:"counts"`
	Findings []findingDoc     `json:"findings"`
	Measures []measureDoc     `json:"measures"`
	Profile  *profile.Profile `json:"profile,omitempty"`
}

type countDoc struct {
	Rule   string `json:"rule"`
	Column string `json:"column,omitempty"`
	Total  int64  `json:"total"`
}

type findingDoc struct {
	Rule    string `json:"rule"`
	Column  string `json:"column,omitempty"`
	Field   int    `json:"field,omitempty"`
	Row     int64  `json:"row,omitempty"`
	Line    int64  `json:"line,omitempty"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
	Help    string `json:"help,omitempty"`
}

type measureDoc struct {
	Name      string   `json:"name"`
	Column    string   `json:"column,omitempty"`
	Value     *float64 `json:"value"` // null: it could not be measured
	Limit     float64  `json:"limit"`
	Direction string   `json:"direction"` // at_most, at_least
}

// newBook lists every data set that there is a contract for, none of them judged yet.
func newBook(all *sets) *book {
	b := &book{doc: document{Version: reportVersion, DataSets: []setDoc{}}}
	for _, s := range all.sets {
		d := setDoc{
			Name: s.contract.Name, Contract: s.contract.File, Path: s.shown, State: stateNotJudged, Reason: s.skip,
			Counts: []countDoc{}, Findings: []findingDoc{}, Measures: []measureDoc{},
		}
		if s.skip != "" {
			d.State = stateSkipped
		}
		b.doc.DataSets = append(b.doc.DataSets, d)
	}
	return b
}

// enter records one result, and writes the report into dir.
func (b *book) enter(dir string, s set, r *dataset.Result) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.doc.DataSets {
		if d := &b.doc.DataSets[i]; d.Name == s.contract.Name {
			d.fill(r)
		}
	}
	content, err := json.MarshalIndent(b.doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", Report, err)
	}
	return wholefile.Write(filepath.Join(dir, Report), append(content, '\n'), 0o600)
}

func (d *setDoc) fill(r *dataset.Result) {
	d.State, d.Rows, d.Bytes, d.Profile = statePassed, r.Rows, r.Bytes, r.Profile
	for _, c := range r.Counts {
		d.Counts = append(d.Counts, countDoc(c))
	}
	for _, f := range r.Findings {
		d.Findings = append(d.Findings, findingDoc(f))
	}
	for _, m := range r.Measures {
		direction := "at_most"
		if m.Least {
			direction = "at_least"
		}
		d.Measures = append(d.Measures, measureDoc{m.Name, m.Column, finite(m.Value), m.Limit, direction})
	}
	if len(d.Findings) > 0 {
		d.State = stateFailed
	}
}

// finite is nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
