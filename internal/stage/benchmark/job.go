package benchmark

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	// further is how often a data set beyond the first is measured: enough for its limit, without a comparison.
	further = 1
	// baselineFactor is how many more repetitions a baseline has than a run, since it serves many.
	baselineFactor = 3
)

// A job is one step: something that is timed again and again, in processes of its own.
type job struct {
	stage  stage
	p      *config.Project
	name   string
	judges string
	unit   string
	limit  time.Duration
	wanted int
	models bool // it takes what training handed over
	// definition is what makes its figures comparable: command, rate, and whatever else is measured with.
	definition any
	// measure makes one repetition; profile makes one that is watched, and draws where the time goes into a file.
	measure func(context.Context, place) ([]float64, error)
	profile func(context.Context, place, string) error
	// seen returns what all repetitions on a set showed beside times, once they are over.
	seen func() ([]engine.Finding, []string)
}

// A place is where and on what one repetition runs.
type place struct {
	scope engine.Scope
	p     *config.Project
	set   *handover.Set // nil if it takes none
}

// fill replaces the placeholders that every command may have, and the extra ones: name, value, name, value.
func (at place) fill(words []string, extra ...string) []string {
	pairs := extra
	if at.set != nil {
		pairs = append(pairs, config.ModelsPlaceholder, at.set.Models, config.RequestsPlaceholder, at.set.Requests)
	}
	replacer := strings.NewReplacer(pairs...)
	filled := make([]string, len(words))
	for i, word := range words {
		filled[i] = replacer.Replace(word)
	}
	return filled
}

// env is the step's environment with the roots of the source to import from, and what is configured.
func (at place) env(configured map[string]string) []string {
	extra := map[string]string{}
	var roots []string
	for _, root := range at.p.Source {
		roots = append(roots, filepath.Join(at.p.Root, filepath.FromSlash(root)))
	}
	extra["PYTHONPATH"] = strings.Join(roots, string(filepath.ListSeparator))
	for key, value := range configured {
		extra[key] = at.fill([]string{value})[0]
	}
	return environment(at.scope.Env, extra)
}

func environment(base, extra map[string]string) []string {
	var env []string
	for key, value := range base {
		if _, replaced := extra[key]; !replaced {
			env = append(env, key+"="+value)
		}
	}
	for key, value := range extra {
		env = append(env, key+"="+value)
	}
	slices.Sort(env)
	return env
}

// run measures every data set, judges, and writes the figures down.
func (j job) run(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	sets, err := j.sets(scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	machine := readMachine(j.stage.root)
	software, err := readSoftware(ctx, j.p, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	v := verdict{job: j, machine: machine, software: software}
	if err := v.findBaseline(); err != nil {
		return engine.Judgement{}, err
	}
	var measures []Measure
	for i, set := range sets {
		m, found, err := j.one(ctx, place{scope, j.p, set}, i == 0)
		if err != nil {
			return engine.Judgement{}, err
		}
		v.found.add(found)
		if m.Summary.Count > 0 {
			measures = append(measures, v.add(m, i == 0))
		}
	}
	if err := addToDocument(scope.Artifacts, machine, software, measures...); err != nil {
		return engine.Judgement{}, err
	}
	return v.judgement(measures), nil
}

// found is what the repetitions on one set showed beside their times.
type found struct {
	findings []engine.Finding
	warnings []string
	unknown  error // why it can't be told how busy the machine was
}

func (f *found) add(other found) {
	f.findings = append(f.findings, other.findings...)
	f.warnings = append(f.warnings, other.warnings...)
	f.unknown = other.unknown
}

func (j job) one(ctx context.Context, at place, first bool) (Measure, found, error) {
	out := Measure{
		Name: j.name, Judges: j.judges, Unit: j.unit, Limit: j.limit.Seconds(), JudgedOn: "p95",
		Repetitions: []Repetition{}, Disturbed: []Busy{}, Comparison: notCompared("it was not measured"),
	}
	if at.set != nil {
		out.Data = at.set.Name
	}
	if load, ok := readLoad(j.stage.root); ok {
		out.LoadAverage = &load
	}
	var err error
	if out.Subject, err = j.subject(at); err != nil {
		return out, found{}, err
	}
	m, err := j.plan(at.scope, first).repeat(ctx, func(ctx context.Context) ([]float64, error) { return j.measure(ctx, at) })
	if err != nil {
		return out, found{}, err
	}
	out.Repetitions = m.repetitions
	out.Disturbed = append(out.Disturbed, m.disturbed...)
	if rounds := m.rounds(); len(rounds) > 0 {
		out.Summary = summarize(rounds)
	}
	f := found{unknown: m.unknown}
	if j.seen != nil {
		f.findings, f.warnings = j.seen()
	}
	if out.Summary.Count == 0 && len(f.findings) == 0 {
		return out, f, errors.New("nothing was timed")
	}
	return out, f, nil
}

func (j job) plan(scope engine.Scope, first bool) plan {
	b := j.p.Benchmark
	wanted := j.wanted
	switch {
	case !first:
		wanted = min(further, wanted)
	case j.stage.baseline:
		wanted *= baselineFactor
	}
	return plan{
		wanted: wanted, retries: b.Retries, busy: b.Busy / 100, gauge: j.stage.gauge, sleep: j.stage.sleep,
		step: func(done, total int) { scope.Progress(done, total, "repetitions") },
	}
}

// sets are the data sets whose models are measured; a baseline is of the first, which every machine has.
func (j job) sets(scope engine.Scope) ([]*handover.Set, error) {
	if !j.models {
		return []*handover.Set{nil}, nil
	}
	model, err := handover.ReadModel(scope.Artifacts)
	if err != nil {
		return nil, err
	}
	var sets []*handover.Set
	for i := range model.Sets {
		sets = append(sets, &model.Sets[i])
	}
	if j.stage.baseline {
		sets = sets[:1]
	}
	return sets, nil
}

// subject is one value for everything that is measured with or on, but the code itself.
func (j job) subject(at place) (string, error) {
	content, err := json.Marshal(j.definition)
	if err != nil {
		return "", fmt.Errorf("describe what is measured: %w", err)
	}
	hash := sha256.New()
	_, _ = hash.Write(content) // a hash takes everything
	if at.set != nil {
		_, _ = hash.Write([]byte(at.set.DataSHA256))
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// definition is a command with the content of those of its words that name a file of the project: a program that
// measures something else now has another one.
func definition(root string, command []string, more ...string) any {
	words := slices.Clone(command)
	for _, word := range command {
		if !filepath.IsLocal(word) {
			continue
		}
		if content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(word))); err == nil {
			sum := sha256.Sum256(content)
			words = append(words, hex.EncodeToString(sum[:]))
		}
	}
	return append(words, more...)
}

// newMeasure is a program that times itself.
func newMeasure(s stage, p *config.Project, m config.Measure) job {
	j := job{
		stage: s, p: p, name: m.Name, judges: m.Judges, unit: "rounds", limit: m.Limit.Std(), wanted: p.Benchmark.Processes,
		models: takesModels(m.Command, m.Env), definition: definition(p.Root, m.Command),
		profile: profileMeasure(m),
	}
	count := 0
	j.measure = func(ctx context.Context, at place) ([]float64, error) {
		count++
		file := filepath.Join(at.scope.Scratch, "rounds-"+strconv.Itoa(count)+".json")
		words := at.fill(m.Command, config.FilePlaceholder, file)
		out, err := at.scope.Run(ctx, engine.Invocation{Program: words[0], Args: words[1:], Env: at.env(m.Env)})
		if err != nil {
			return nil, err
		}
		if out.ExitCode != 0 {
			return nil, python.Failure(m.Name, out)
		}
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("the program ended well and wrote no rounds: see its log")
		}
		if err != nil {
			return nil, fmt.Errorf("read rounds: %w", err)
		}
		return parseRounds(content)
	}
	return j
}

// newLoad is a load on a server.
func newLoad(s stage, p *config.Project, l config.LoadTest) job {
	j := job{
		stage: s, p: p, name: l.Name, judges: l.Judges, unit: "requests", limit: l.Limit.Std(), wanted: p.Benchmark.Servers,
		models: takesModels(append(slices.Clone(l.Command), l.Bodies), l.Env),
		definition: definition(p.Root, append(slices.Clone(l.Command), l.Bodies),
			l.Path, strconv.Itoa(l.Rate), l.Warmup.Std().String(), l.Duration.Std().String()),
		profile: profileLoad(l),
	}
	var all tally
	j.measure = func(ctx context.Context, at place) ([]float64, error) {
		a, err := underLoad(ctx, at, l)
		if err != nil {
			return nil, err
		}
		all.add(a)
		return a.latencies, nil
	}
	j.seen = func() ([]engine.Finding, []string) {
		findings, warnings := all.findings(l.Path), all.warnings()
		all = tally{}
		return findings, warnings
	}
	return j
}

// underLoad starts a server as in service, warms it up, and measures its answers.
func underLoad(ctx context.Context, at place, l config.LoadTest) (answers, error) {
	bodies, err := at.bodies(l)
	if err != nil {
		return answers{}, err
	}
	port, err := freeport.Find(ctx)
	if err != nil {
		return answers{}, err
	}
	words := at.fill(l.Command, config.PortPlaceholder, strconv.Itoa(port))
	s, err := startServer(ctx, at.scope, engine.Invocation{Program: words[0], Args: words[1:], Env: at.env(l.Env)}, port, l.Ready, l.Start.Std())
	if err != nil {
		return answers{}, err
	}
	a, err := s.load(ctx, l, bodies)
	return a, errors.Join(err, s.stop())
}

// bodies are those that the load is made of.
func (at place) bodies(l config.LoadTest) ([][]byte, error) {
	path := at.fill([]string{l.Bodies})[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(at.p.Root, filepath.FromSlash(path))
	}
	return readBodies(path)
}

func (s *server) load(ctx context.Context, l config.LoadTest, bodies [][]byte) (answers, error) {
	if warmup := l.Warmup.Std(); warmup > 0 {
		if _, err := attack(ctx, s.url+l.Path, bodies, l.Rate, warmup); err != nil {
			return answers{}, err
		}
	}
	return attack(ctx, s.url+l.Path, bodies, l.Rate, l.Duration.Std())
}

// takesModels reports whether a command needs what training handed over.
func takesModels(command []string, env map[string]string) bool {
	words := slices.Clone(command)
	for _, value := range env {
		words = append(words, value)
	}
	text := strings.Join(words, " ")
	return strings.Contains(text, config.ModelsPlaceholder) || strings.Contains(text, config.RequestsPlaceholder)
}
