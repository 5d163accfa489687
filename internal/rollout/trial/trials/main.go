// Command trials puts deploys through what can happen to them, and writes what came of it to docs/results/deploys.md and
// deploys.json. Run it from the root of the repository, on a machine that does nothing else:
//
//	go run ./internal/rollout/trial/trials                 # all, an hour and a quarter
//	go run ./internal/rollout/trial/trials -only=shift     # a part of them, or one: -only="bad/2 % errors"
//	go run ./internal/rollout/trial/trials -list
//
// Trials with the real model_api need the images that this repository builds: -artifacts or -images.
//
// It exits with 1 if one did not pass, and with 3 if it could not run them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/trial"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	passed, err := run(ctx, os.Stdout, os.Environ()) //nolint:forbidigo // it is a program of its own, and no stage
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	case !passed:
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, env []string) (passed bool, err error) {
	only := flag.String("only", "", "part, or part/name, of the trials to run; several with commas between")
	list := flag.Bool("list", false, "say which trials there are")
	artifacts := flag.String("artifacts", "", "directory in which a build has handed over its images")
	images := flag.String("images", "", "or images by name, with commas between: model_api=repository@digest,mlflow=…,airflow=…")
	report := flag.String("report", "", "file for what these trials show, as JSON")
	inside := flag.String("inside", "", "directory for an engine of its own: for a trial that runs itself so")
	keep := flag.Bool("keep", true, "write what they show to docs/results")
	flag.Parse()
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	wanted := choose(trial.All(), *only)
	if len(wanted) == 0 {
		return false, fmt.Errorf("no trial is called %q: -list says which there are", *only)
	}
	if *list {
		for _, t := range wanted {
			_, _ = fmt.Fprintln(out, t.ID())
		}
		return true, nil
	}
	tree, err := record.Tree(root)
	if err != nil {
		return false, err
	}
	log := func(format string, args ...any) {
		_, _ = fmt.Fprintf(out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	lab, end, err := open(ctx, root, *inside, env, log)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return false, err
	}
	if *artifacts != "" {
		err = lab.TakeBuilt(*artifacts)
	} else if *images != "" {
		err = lab.TakeNamed(ctx, strings.Split(*images, ","))
	}
	if err != nil {
		return false, err
	}
	s := session{lab: lab, tree: tree, root: root, keep: *keep}
	err = s.through(ctx, wanted)
	if err == nil && *report != "" {
		err = s.shown.Save(*report)
	}
	return !s.failed, err
}

// open makes a lab, in namespaces of its own with an engine of its own if it is told where that lies. End is to be called in
// any case.
func open(ctx context.Context, root, inside string, env []string, log trial.Log) (lab *trial.Lab, end func() error, err error) {
	place := trial.Place{Root: root, Log: log}
	end = func() error { return nil }
	if inside != "" {
		if place.Own, err = trial.StartEngine(ctx, inside, env); err != nil {
			return nil, end, err
		}
		place.Others, env = env, place.Own.Env
	}
	place.Machine, err = imagetest.Start(ctx, imagetest.Options{Repository: root, Env: env, Log: log})
	end = place.Machine.Close
	if err != nil {
		return nil, end, err
	}
	lab, err = trial.Open(ctx, place)
	end = func() error { return errors.Join(lab.Close(ctx), place.Machine.Close()) } //nolint:contextcheck // the machine ends also what a cancelled run has started
	return lab, end, err
}

// A session is one run of some trials.
type session struct {
	lab        *trial.Lab
	tree, root string
	keep       bool // what they show goes to the repository
	shown      record.Record
	failed     bool
}

// through runs the trials one after the other. What each shows is written at once, so that an end in the middle loses
// nothing.
func (s *session) through(ctx context.Context, wanted []trial.Trial) error {
	var names []string
	for _, t := range trial.All() {
		names = append(names, t.ID())
	}
	for i, t := range wanted {
		s.lab.Log("%d of %d  %s", i+1, len(wanted), t.ID())
		done := s.lab.Do(ctx, t, s.tree)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.say(done)
		s.shown.Put(done)
		if !s.keep {
			continue
		}
		if err := record.Update(ctx, s.root, func(kept *record.Record) {
			kept.Put(done)
			kept.Keep(names)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) say(done record.Trial) {
	var figures []string
	for _, f := range done.Figures {
		figures = append(figures, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Name, f, f.Unit)))
	}
	s.lab.Log("    %s", strings.Join(figures, ", "))
	if done.Problem != "" {
		s.failed = true
		s.lab.Log("    NOT PASSED in %.0f s: %s", done.Seconds, done.Problem)
		for _, e := range done.Events {
			if !strings.HasPrefix(e.What, "note of judge") { // they are in the record
				s.lab.Log("      %6.1f s  %s", e.At, e.What)
			}
		}
		return
	}
	s.lab.Log("    passed in %.0f s: %s", done.Seconds, done.Outcome)
}

func choose(all []trial.Trial, only string) []trial.Trial {
	if only == "" {
		return all
	}
	var chosen []trial.Trial
	for _, t := range all {
		for name := range strings.SplitSeq(only, ",") {
			if name = strings.TrimSpace(name); t.Part == name || t.ID() == name {
				chosen = append(chosen, t)
				break
			}
		}
	}
	return chosen
}
