// Command simulate lets the judge watch made-up releases, with random rates and traffic, and writes what it did to
// docs/results/judge.md and judge.json: how many requests it needs to see a defect, and how often it sees one where
// there is none. Run it from the root of the repository:
//
//	go run ./internal/rollout/judge/simulate
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A Setting is what the figures depend on.
type Setting struct {
	Seed      uint64  `json:"seed"`
	Defective int     `json:"defective_releases"` // for each size of defect
	Healthy   int     `json:"healthy_releases"`
	Whole     int     `json:"whole_releases"` // healthy, with times and predictions as well
	Rate      float64 `json:"requests_per_second"`
	LowBase   float64 `json:"lowest_base_rate"` // of errors on both sides; the logarithm is uniform
	HighBase  float64 `json:"highest_base_rate"`
	Go        string  `json:"go"`
}

func run() error {
	s := Setting{Rate: 200, LowBase: 1e-4, HighBase: 1e-2, Go: runtime.Version()}
	flag.Uint64Var(&s.Seed, "seed", 20261128, "of all random numbers")
	flag.IntVar(&s.Defective, "defective", 10_000, "releases of each size of defect")
	flag.IntVar(&s.Healthy, "healthy", 100_000, "releases without a defect")
	flag.IntVar(&s.Whole, "whole", 2_000, "releases without a defect, with times and predictions")
	directory := flag.String("into", "docs/results", "directory of the results")
	flag.Parse()
	if s.Defective < 100 || s.Healthy < 100 || s.Whole < 100 {
		return errors.New("simulate judge: fewer than 100 releases say nothing")
	}
	began := time.Now()
	results, err := simulate(s)
	if err != nil {
		return fmt.Errorf("simulate judge: %w", err)
	}
	content, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	err = errors.Join(
		wholefile.Write(filepath.Join(*directory, "judge.json"), append(content, '\n'), 0o644),
		wholefile.Write(filepath.Join(*directory, "judge.md"), []byte(results.markdown()), 0o644),
	)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	_, err = fmt.Fprintf(os.Stdout, "%s(%s)\n", results.markdown(), time.Since(began).Round(time.Second))
	return err
}
