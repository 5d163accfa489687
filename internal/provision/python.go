package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// building is noted in an environment's lock while it is being made, so that what an interrupted run left half-made
// can be told from a directory that happens to have the same name.
const building = "building"

// pythonSpec is an environment as it is wanted.
type pythonSpec struct {
	need         engine.Need
	version      string // "3.11"
	shown        string // the directory as the project writes it
	dir          string // absolute
	requirements string // absolute
	shownReqs    string
}

// pythonEnv is an environment as it was made.
type pythonEnv struct {
	spec  pythonSpec
	stamp stamp
}

func (p *Provisioner) pythonSpec(name string, apart bool) (pythonSpec, error) {
	python := p.project.Python
	spec := pythonSpec{need: engine.NeedPython, version: python.Version, shown: python.Directory, shownReqs: python.Requirements}
	if apart {
		environ, ok := python.Apart[name]
		if !ok {
			return pythonSpec{}, fmt.Errorf("there is no environment %q under python.apart: it has %s", name, strings.Join(slices.Sorted(maps.Keys(python.Apart)), ", "))
		}
		spec.need, spec.shown, spec.shownReqs = engine.Need("python:"+name), environ.Directory, environ.Requirements
	}
	if spec.shown == "" || spec.shownReqs == "" || spec.version == "" {
		return pythonSpec{}, fmt.Errorf("environment %s has no directory, requirements or version: see python in pipeline.yaml", spec.need)
	}
	spec.dir = filepath.Join(p.root, filepath.FromSlash(spec.shown))
	spec.requirements = filepath.Join(p.root, filepath.FromSlash(spec.shownReqs))
	return spec, nil
}

// pythonSpecs are all environments of the project, the first one first.
func (p *Provisioner) pythonSpecs() ([]pythonSpec, error) {
	first, err := p.pythonSpec("", false)
	specs, errs := []pythonSpec{first}, []error{err}
	for _, name := range slices.Sorted(maps.Keys(p.project.Python.Apart)) {
		spec, err := p.pythonSpec(name, true)
		specs, errs = append(specs, spec), append(errs, err)
	}
	return specs, errors.Join(errs...)
}

func (p *Provisioner) providePython(ctx context.Context, spec pythonSpec, say func(string)) (engine.Provision, error) {
	p.mu.Lock()
	made, ok := p.pythons[spec.dir]
	if !ok {
		made = newShared[pythonEnv]()
		p.pythons[spec.dir] = made
	}
	p.mu.Unlock()
	env, err := made.get(ctx, func(ctx context.Context) (pythonEnv, error) { return p.ensurePython(ctx, spec, say) })
	if err != nil {
		return engine.Provision{}, err
	}
	if env.spec != spec {
		return engine.Provision{}, fmt.Errorf("%s and %s have the same directory %s: give each its own under python in pipeline.yaml", env.spec.need, spec.need, spec.shown)
	}
	return engine.Provision{
		Programs: filepath.Join(spec.dir, "bin"),
		Env: map[string]string{
			"VIRTUAL_ENV": spec.dir,
			"PYTHONUTF8":  "1",
			// Empty is unset to Python. Bytecode is written, since every tool would compile its imports anew without it.
			"PYTHONPATH": "",
			"PYTHONHOME": "",
		},
		Detail: fmt.Sprintf("Python %s with %d packages in %s", env.stamp.Interpreter.Version, env.stamp.Count, spec.shown),
	}, nil
}

// ensurePython hands out the environment if it is as it should be, and makes it so if not. The environment stays
// locked against rebuilding, by a shared lock, until Close: another run of this checkout may want other requirements.
func (p *Provisioner) ensurePython(ctx context.Context, spec pythonSpec, say func(string)) (pythonEnv, error) {
	if _, err := os.Stat(spec.requirements); err != nil {
		return pythonEnv{}, fmt.Errorf("read requirements of %s: %w: make the file, or name another one under python in pipeline.yaml", spec.shown, err)
	}
	lock, err := openLock(p.own("locks", url.PathEscape(spec.shown)+".lock"))
	if err != nil {
		return pythonEnv{}, err
	}
	env, err := p.ensureLocked(ctx, spec, lock, say)
	if err != nil {
		return pythonEnv{}, errors.Join(err, lock.close())
	}
	p.mu.Lock()
	p.held = append(p.held, lock)
	p.mu.Unlock()
	return env, nil
}

func (p *Provisioner) ensureLocked(ctx context.Context, spec pythonSpec, lock *fileLock, say func(string)) (pythonEnv, error) {
	waiting := func(what string) func() {
		return func() { say(fmt.Sprintf("waiting for another run, which %s %s", what, spec.shown)) }
	}
	if err := lock.share(ctx, waiting("is making")); err != nil {
		return pythonEnv{}, err
	}
	state, found, _ := inspect(spec)
	if state == current {
		return pythonEnv{spec, found}, nil
	}
	if err := lock.release(); err != nil {
		return pythonEnv{}, fmt.Errorf("release lock: %w", err)
	}
	if err := lock.take(ctx, waiting("is using")); err != nil {
		return pythonEnv{}, err
	}
	state, found, reason := inspect(spec) // again: another run may have made it meanwhile
	if state != current {
		var err error
		if found, err = p.buildPython(ctx, spec, lock, state, reason, say); err != nil {
			return pythonEnv{}, err
		}
	}
	if err := lock.share(ctx, func() {}); err != nil {
		return pythonEnv{}, err
	}
	return pythonEnv{spec, found}, nil
}

// buildPython makes an environment. Only a complete one is brought up to date in place: after an interruption uv can't
// tell a package that is half there from a whole one, so everything is made anew then.
func (p *Provisioner) buildPython(ctx context.Context, spec pythonSpec, lock *fileLock, state freshness, reason string, say func(string)) (stamp, error) {
	uv, err := p.needUV(ctx, say)
	if err != nil {
		return stamp{}, fmt.Errorf("make %s: %w", spec.shown, err)
	}
	if state == absent && lock.noted() != building {
		if err := mayReplace(spec); err != nil {
			return stamp{}, err
		}
	}
	if err := lock.note(building); err != nil {
		return stamp{}, err
	}
	if err := os.Remove(filepath.Join(spec.dir, stampName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stamp{}, fmt.Errorf("remove stamp of %s: %w", spec.shown, err)
	}
	if state == absent {
		say(fmt.Sprintf("making %s with Python %s, since %s", spec.shown, spec.version, reason))
		if err := awaitUV(ctx, spec, say); err != nil {
			return stamp{}, err
		}
		if err := os.RemoveAll(spec.dir); err != nil {
			return stamp{}, fmt.Errorf("remove %s: %w", spec.shown, err)
		}
		if err := p.makeVenv(ctx, uv, spec, say); err != nil {
			return stamp{}, err
		}
	} else {
		say(fmt.Sprintf("updating %s, since %s", spec.shown, reason))
	}
	made, err := p.sync(ctx, uv, spec, say)
	if err != nil {
		return stamp{}, err
	}
	return made, lock.note("")
}

// awaitUV waits for a uv that a killed run left at work in the environment: uv locks what it changes.
func awaitUV(ctx context.Context, spec pythonSpec, say func(string)) error {
	path := filepath.Join(spec.dir, ".lock")
	if !exists(path) {
		return nil
	}
	lock, err := openLock(path)
	if err != nil {
		return err
	}
	defer func() { _ = lock.close() }()
	return lock.take(ctx, func() { say("waiting for another uv, which is changing " + spec.shown) })
}

// mayReplace refuses to clear a place that holds anything else than a Python environment.
func mayReplace(spec pythonSpec) error {
	entries, err := os.ReadDir(spec.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s: %w: move what is there away", spec.shown, err)
	}
	if len(entries) > 0 && !exists(filepath.Join(spec.dir, "pyvenv.cfg")) {
		return fmt.Errorf("make %s: it is a directory that is no Python environment: move it away, or set python.directory in pipeline.yaml", spec.shown)
	}
	return nil
}
