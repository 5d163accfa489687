package engine

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// place is where and with what a step runs: directories made, placeholders known, needs provided.
type place struct {
	root, artifacts, scratch string
	programs                 []string
	extra                    map[string]string // what the needs and the command add to the environment
	env                      []string
	command                  *Command
}

func (w *worker) place(provisions []Provision) (place, error) {
	p := place{
		root: w.x.opts.Root, artifacts: w.x.dir.artifacts(), scratch: w.x.dir.scratch(w.node.stageName, w.node.step.Name),
		command: w.node.step.Command, extra: map[string]string{},
	}
	if p.usesScratch() {
		if err := os.MkdirAll(p.scratch, 0o700); err != nil {
			return place{}, fmt.Errorf("make scratch directory: %w", err)
		}
	}
	for _, provision := range provisions {
		if provision.Programs != "" {
			p.programs = append(p.programs, provision.Programs)
		}
		maps.Copy(p.extra, provision.Env)
	}
	if p.command != nil {
		for key, value := range p.command.Env {
			p.extra[key] = p.fill(value)
		}
	}
	p.env = environment(append([]string{w.nativeThreads()}, w.x.opts.Env...), p.extra, p.programs)
	return p, nil
}

// nativeThreads is how many threads a numerical library may start, by the variable that all of them read: the step's
// share of the cores. Otherwise each step's library takes all cores, and its threads spin while they wait for each other.
// What the user's environment says comes first.
func (w *worker) nativeThreads() string {
	cores, slots := runtime.GOMAXPROCS(0), min(w.node.slots, w.x.opts.Limit)
	if w.node.step.Alone {
		slots = w.x.opts.Limit
	}
	return "OMP_NUM_THREADS=" + strconv.Itoa(max(1, cores*slots/w.x.opts.Limit))
}

// usesScratch is true for a function, which may use it without saying so.
func (p place) usesScratch() bool {
	if p.command == nil {
		return true
	}
	for _, value := range p.command.Env {
		if strings.Contains(value, ScratchDir) {
			return true
		}
	}
	return slices.ContainsFunc(p.command.Args, func(arg string) bool { return strings.Contains(arg, ScratchDir) })
}

func (p place) remove() error {
	if p.scratch == "" || !p.usesScratch() {
		return nil
	}
	return removeScratch(p.scratch)
}

func (p place) fill(s string) string {
	return strings.NewReplacer(ArtifactsDir, p.artifacts, ScratchDir, p.scratch).Replace(s)
}

// invocation is the command with every placeholder replaced.
func (p place) invocation() Invocation {
	i := Invocation{
		Program: p.program(),
		Dir:     filepath.Join(p.root, filepath.FromSlash(p.command.Dir)),
		Env:     p.env,
	}
	for _, arg := range p.command.Args {
		i.Args = append(i.Args, p.fill(arg))
	}
	return i
}

// program prefers what the needs provide; any other name is looked up by the runner.
func (p place) program() string {
	name := p.command.Program
	if strings.ContainsRune(name, '/') {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(p.root, filepath.FromSlash(name))
	}
	for _, dir := range p.programs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return name
}

// near replaces placeholders by paths as seen from where the command runs: shorter to read than absolute ones.
func (p place) near() *strings.Replacer {
	relative := func(path string) string {
		if rel, err := filepath.Rel(filepath.Join(p.root, filepath.FromSlash(p.command.Dir)), path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return path
	}
	return strings.NewReplacer(ArtifactsDir, relative(p.artifacts), ScratchDir, relative(p.scratch))
}

// commandLine is the command as a person could type it in the project's root.
func (p place) commandLine() string {
	if p.command == nil {
		return ""
	}
	near := p.near()
	var words []string
	if p.command.Dir != "" {
		words = append(words, "cd", quote(p.command.Dir), "&&")
	}
	for _, key := range slices.Sorted(maps.Keys(p.command.Env)) {
		words = append(words, key+"="+quote(near.Replace(p.command.Env[key])))
	}
	i := p.invocation()
	program := i.Program
	if rel, err := filepath.Rel(i.Dir, program); err == nil && filepath.IsAbs(program) && filepath.IsLocal(rel) {
		program = rel
	}
	words = append(words, quote(program))
	for _, arg := range p.command.Args {
		words = append(words, quote(near.Replace(arg)))
	}
	return strings.Join(words, " ")
}

// quote writes a word for a POSIX shell.
func quote(s string) string {
	const plainWord = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%"
	if s != "" && strings.Trim(s, plainWord) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// environment is the base with additions, each name once, and programs first on PATH.
func environment(base []string, extra map[string]string, programs []string) []string {
	values := map[string]string{}
	for _, entry := range base {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			values[key] = value
		}
	}
	maps.Copy(values, extra)
	if len(programs) > 0 {
		path := slices.Clone(programs)
		if values["PATH"] != "" {
			path = append(path, values["PATH"])
		}
		values["PATH"] = strings.Join(path, string(filepath.ListSeparator))
	}
	env := make([]string, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		env = append(env, key+"="+values[key])
	}
	return env
}
