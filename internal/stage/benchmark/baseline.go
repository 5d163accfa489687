package benchmark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const baselineSchema = 1

// Baselines is the file that `mage benchmark:baseline` writes: one baseline for each machine, so that those of CI and
// of laptops stand side by side.
type Baselines struct {
	Schema   int        `json:"schema_version"`
	Machines []Baseline `json:"machines"`
}

// A Baseline is what one machine measured when somebody said that it is how it should be.
type Baseline struct {
	Stored   string            `json:"stored"` // YYYY-MM-DD
	Machine  Machine           `json:"machine"`
	Software Software          `json:"software"`
	Measures map[string]Stored `json:"measures"` // by name
}

// Stored is one measure of a baseline, in seconds.
type Stored struct {
	Subject string    `json:"subject"`
	Medians []float64 `json:"medians"` // of each repetition
	// Quantiles are those of all rounds, from 0 to 1 in equal steps: enough to draw them.
	Quantiles []float64 `json:"quantiles"`
}

const storedQuantiles = 101

func store(m Measure) Stored {
	all := measured{repetitions: m.Repetitions}
	s := Stored{Subject: m.Subject, Medians: all.medians()}
	rounds := all.rounds()
	for i := range storedQuantiles {
		s.Quantiles = append(s.Quantiles, quantile(rounds, float64(i)/(storedQuantiles-1)))
	}
	return s
}

// readBaselines returns an empty list if there is no file. One that can't be read is an error: a gate that was given
// a baseline must not pass for want of it.
func readBaselines(p *config.Project) (Baselines, error) {
	var b Baselines
	err := decodeFile(filepath.Join(p.Root, filepath.FromSlash(p.Benchmark.Baseline)), &b)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Baselines{Schema: baselineSchema}, nil
	case err == nil && b.Schema != baselineSchema:
		err = fmt.Errorf("its schema is %d, this program reads %d", b.Schema, baselineSchema)
	}
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return b, fmt.Errorf("%w: store it again with `mage benchmark:baseline`, or remove %s", err, p.Benchmark.Baseline)
	}
	return b, nil
}

func (b Baselines) check() error {
	for _, baseline := range b.Machines {
		for name, s := range baseline.Measures {
			if len(s.Medians) == 0 || len(s.Quantiles) != storedQuantiles || !slices.IsSorted(s.Quantiles) {
				return fmt.Errorf("the baseline of %s is not whole", name)
			}
			for _, v := range slices.Concat(s.Medians, s.Quantiles) {
				if v <= 0 {
					return fmt.Errorf("the baseline of %s holds a time of %v s", name, v)
				}
			}
		}
	}
	return nil
}

// of returns the machine's baseline, or else why there is none.
func (b Baselines) of(m Machine) (Baseline, string) {
	var other string
	for _, baseline := range b.Machines {
		same, difference := m.same(baseline.Machine)
		if same {
			return baseline, ""
		}
		other = difference
	}
	switch len(b.Machines) {
	case 0:
		return Baseline{}, "there is no baseline yet"
	case 1:
		return Baseline{}, "the baseline is of another machine: " + other
	default:
		return Baseline{}, fmt.Sprintf("none of the %d baselines is of this machine", len(b.Machines))
	}
}

// against compares a measure with its baseline.
func (b Baseline) against(m Measure, alpha, margin float64) (Comparison, *Stored) {
	s, ok := b.Measures[m.Name]
	switch {
	case !ok:
		return notCompared("the baseline of %s does not have it yet", b.Stored), nil
	case s.Subject != m.Subject:
		return notCompared("it is not what was measured on %s: its data, its command or its program are others", b.Stored), nil
	}
	return compare(s.Medians, measured{repetitions: m.Repetitions}.medians(), alpha, margin), &s
}

// storeBaseline puts what the run measured in the place of this machine's earlier baseline.
func storeBaseline(p *config.Project, doc Document, today time.Time) (int, error) {
	all, err := readBaselines(p)
	if err != nil {
		return 0, err
	}
	fresh := Baseline{Stored: today.UTC().Format(time.DateOnly), Machine: doc.Machine, Software: doc.Software, Measures: map[string]Stored{}}
	for _, m := range doc.Measures {
		if _, taken := fresh.Measures[m.Name]; !taken { // the first data set is the one that every machine has
			fresh.Measures[m.Name] = store(m)
		}
	}
	all.Machines = slices.DeleteFunc(all.Machines, func(b Baseline) bool { same, _ := b.Machine.same(fresh.Machine); return same })
	all.Machines = append(all.Machines, fresh)
	slices.SortFunc(all.Machines, func(a, b Baseline) int { return bytes.Compare([]byte(a.Machine.String()), []byte(b.Machine.String())) })
	content, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return 0, fmt.Errorf("store baseline: %w", err)
	}
	if err := replaceFile(filepath.Join(p.Root, filepath.FromSlash(p.Benchmark.Baseline)), append(content, '\n')); err != nil {
		return 0, fmt.Errorf("store baseline: %w", err)
	}
	return len(fresh.Measures), nil
}

// told is what a person wants to know of a baseline: when, and what has changed beneath the code.
func (b Baseline) told(now Software) string {
	text := "baseline of " + b.Stored
	if changed := now.changes(b.Software); len(changed) > 0 {
		text += ", since when " + python.List(changed, 4)
	}
	return text
}

// StoredBaselines lists what baselines there are, for reports.
func StoredBaselines(p *config.Project) ([]Baseline, error) {
	all, err := readBaselines(p)
	return all.Machines, err
}
