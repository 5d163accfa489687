// Command demo plays a made-up run to every renderer, so that a person can look at them:
//
//	go run ./internal/report/reporttest/demo -dir /tmp/demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/report/jsonreport"
	"github.com/meter-ml/meter-pipeline/internal/report/junit"
	"github.com/meter-ml/meter-pipeline/internal/report/markdown"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
	"github.com/meter-ml/meter-pipeline/internal/report/sarif"
	"github.com/meter-ml/meter-pipeline/internal/report/terminal"
)

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "report-demo"), "run directory")
	kind := flag.String("run", "failed", "failed, passed, interrupted")
	speed := flag.Float64("speed", 4, "how many times faster than the clock")
	verbose := flag.Bool("v", false, "stream tool output")
	flag.Parse()
	os.Exit(run(*dir, *kind, *speed, *verbose))
}

func run(dir, kind string, speed float64, verbose bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, dir, kind, speed, verbose); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func play(ctx context.Context, dir, kind string, speed float64, verbose bool) (err error) {
	run := reporttest.Many(dir)
	switch kind {
	case "passed":
		run = reporttest.Passed(dir)
	case "interrupted":
		run = reporttest.Interrupted(dir)
	}
	if err := reporttest.WriteLogs(run); err != nil {
		return err
	}
	opts := terminal.Detect(os.Stdout, os.Stderr, os.Getenv) //nolint:forbidigo // a command of its own
	opts.Verbose = verbose
	began := time.Now()
	opts.Now = func() time.Time { // the clock of the run, which the fixture's times belong to
		return run.Started.Add(time.Duration(float64(time.Since(began)) * speed))
	}
	person := terminal.New(opts)
	defer func() { err = errors.Join(err, person.Close()) }()
	reporters := []engine.Reporter{
		jsonreport.New(filepath.Join(dir, "report.json")),
		junit.New(filepath.Join(dir, "junit.xml")),
		sarif.New(filepath.Join(dir, "results.sarif")),
		markdown.New(filepath.Join(dir, "summary.md")),
		html.Options{Host: "ada-laptop"}.New(filepath.Join(dir, "report.html")),
		person,
	}
	for _, e := range reporttest.Events(run, reporttest.Plan()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(float64(e.Time.Sub(opts.Now())) / speed)):
		}
		for _, r := range reporters {
			if err := r.Event(e); err != nil {
				return err
			}
		}
	}
	return nil
}
