// Package trial puts deploys through what can happen to them: on a real engine, with Compose, HAProxy, a registry and
// PostgreSQL, while requests come in all the time. It shows what the rest of the repository promises of a deploy, with
// figures that go to docs/results/deploys.md.
//
// A Lab has what all trials share, a Site is one environment with its agents in it, and a Trial does something to a site.
// It stands above the stages' deploy parts and uses them as a deployer does. Nothing else is built on it.
package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// prefix begins the names of all that a lab makes on the engine; the number of its process follows, so that the next
// lab finds what a killed one has left.
const prefix = "meter-trial-"

// Log takes a line of progress.
type Log func(format string, args ...any)

// A Lab is what the trials share: an engine, a registry of their own, stand-ins for the public images.
type Lab struct {
	Root string // of the repository
	Dir  string // of everything that the trials write
	Env  []string
	Log  Log

	machine  *imagetest.Machine
	runner   *tool.Runner
	registry string // host:port
	standins map[string]string
	own      *Engine
	others   []string
	built    map[string]v1.Image // what this repository builds, by name; empty if it was not given

	mu       sync.Mutex
	sites    int
	standing map[string]*Site       // that a trial may use, by the name of their kind
	program  []byte                 // the trivial server
	place    func(dir string) error // prepares the next site's state directory; nil: nothing is to be prepared
}

// A Place says where a lab is.
type Place struct {
	Root    string // of the repository
	Machine *imagetest.Machine
	Own     *Engine  // nil, or the engine of the machine: it is the lab's own, and may be restarted
	Others  []string // environment that leads to an engine with stand-ins, for an own one that has none yet
	Log     Log
}

// Open makes a lab on a machine. Close it in any case.
func Open(ctx context.Context, p Place) (*Lab, error) {
	l := &Lab{Root: p.Root, Env: p.Machine.Env, own: p.Own, others: p.Others, Log: p.Log, machine: p.Machine, standins: map[string]string{}, built: map[string]v1.Image{}, standing: map[string]*Site{}}
	if err := l.open(ctx); err != nil {
		return l, fmt.Errorf("open lab: %w", err)
	}
	return l, nil
}

func (l *Lab) open(ctx context.Context) error {
	var err error
	// Not below /tmp, which is often in memory: the journal's writes are to meet a disk.
	base := "/var/tmp"
	if l.own != nil {
		base = l.own.dir
	}
	if l.Dir, err = os.MkdirTemp(base, prefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
		return err
	}
	if err := os.Chmod(l.Dir, 0o755); err != nil { //nolint:gosec // containers of other users look for their files below
		return err
	}
	l.runner = tool.NewRunner(tool.Options{State: l.Dir, Run: fmt.Sprintf("trial-%d-%d", os.Getpid(), time.Now().UnixNano())})
	if err := l.sweep(ctx); err != nil { // what a killed lab has left is in nobody's way
		l.Log("not all is removed that an earlier lab has left: %v", err)
	}
	if err := l.takeStandins(ctx); err != nil {
		return err
	}
	return l.startRegistry(ctx)
}

// takeStandins has the stand-ins on the engine: made, or brought from where they are made.
func (l *Lab) takeStandins(ctx context.Context) (err error) {
	if l.own != nil {
		m := *l.machine
		m.Env = l.others
		var images []string
		for _, name := range standin.Names() {
			image, err := standin.Image(ctx, &m, name, l.Log)
			if err != nil {
				return err
			}
			images = append(images, image)
		}
		if err := l.bring(ctx, l.others, images); err != nil {
			return err
		}
	}
	for _, name := range standin.Names() {
		if l.standins[name], err = standin.Image(ctx, l.machine, name, l.Log); err != nil {
			return err
		}
	}
	return nil
}

// startRegistry starts a registry for these trials, which they may stop.
func (l *Lab) startRegistry(ctx context.Context) error {
	port, err := freeport.Find(ctx) // a fixed one, so that it comes back where it was
	if err != nil {
		return err
	}
	l.registry = fmt.Sprintf("127.0.0.1:%d", port)
	if _, err := l.docker(ctx, "run", "--detach", "--name", l.name("registry"), "--publish", l.registry+":5000", l.standins["registry"]); err != nil {
		return err
	}
	return l.registryAnswers(ctx)
}

func (l *Lab) registryAnswers(ctx context.Context) error {
	return eventually(ctx, 10*time.Second, "the registry answers", func() error {
		return get(ctx, "http://"+l.registry+"/v2/")
	})
}

// Close takes everything away that the lab has made.
func (l *Lab) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
	defer cancel()
	var errs []error
	for _, s := range l.standing {
		errs = append(errs, s.Close(ctx))
	}
	if l.runner != nil {
		errs = append(errs, l.remove(ctx, strconv.Itoa(os.Getpid())), l.runner.Close())
	}
	return errors.Join(append(errs, unmountBelow(l.Dir), os.RemoveAll(l.Dir))...)
}

// name is one for something of this lab on the engine.
func (l *Lab) name(what string) string { return fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), what) }

// docker calls the client. Any exit code but zero is an error.
func (l *Lab) docker(ctx context.Context, args ...string) (string, error) {
	return l.run(ctx, engine.Invocation{Program: "docker", Args: args})
}

func (l *Lab) run(ctx context.Context, i engine.Invocation) (string, error) {
	if i.Dir == "" {
		i.Dir = l.Root
	}
	if i.Env == nil {
		i.Env = l.Env
	}
	if i.Line == nil {
		i.Line = func(string) {}
	}
	out, err := l.runner.Run(ctx, i)
	if err == nil && out.ExitCode != 0 {
		words := strings.TrimSpace(string(out.Stdout) + string(out.Stderr))
		err = fmt.Errorf("%s %s: exit code %d: %s", filepath.Base(i.Program), i.Args[0], out.ExitCode, words[max(0, len(words)-800):])
	}
	return strings.TrimSpace(string(out.Stdout)), err
}

// sweep takes away what labs have left whose process is no more.
func (l *Lab) sweep(ctx context.Context) error {
	var errs []error
	seen := map[string]bool{}
	for _, kind := range []string{"ps --all --format {{.Names}}", "network ls --format {{.Name}}", "volume ls --format {{.Name}}"} {
		listed, err := l.docker(ctx, strings.Fields(kind)...)
		errs = append(errs, err)
		for name := range strings.FieldsSeq(listed) {
			seen[owner(name)] = true
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(l.Dir), prefix+"*"))
	errs = append(errs, err)
	for _, dir := range left {
		if pid := owner(filepath.Base(dir)); !alive(pid) {
			seen[pid] = true
			errs = append(errs, unmountBelow(dir), os.RemoveAll(dir))
		}
	}
	for pid := range seen {
		if pid != "" && !alive(pid) {
			errs = append(errs, l.remove(ctx, pid))
		}
	}
	return errors.Join(errs...)
}

// owner is the process that a name tells of; empty if it is none of a lab.
func owner(name string) string {
	_, rest, ok := strings.Cut(name, prefix[len("meter-"):]) // Compose projects begin with the environment's own prefix
	if !ok {
		return ""
	}
	pid, _, _ := strings.Cut(rest, "-")
	if _, err := strconv.Atoi(pid); err != nil {
		return ""
	}
	return pid
}

func alive(pid string) bool {
	_, err := os.Stat("/proc/" + pid)
	return err == nil
}

// remove takes away what a process has made on the engine. An agent that runs yet may start something meanwhile.
func (l *Lab) remove(ctx context.Context, pid string) error {
	return eventually(ctx, 10*time.Second, "all is removed that process "+pid+" has made", func() error { return l.removeOnce(ctx, pid) })
}

func (l *Lab) removeOnce(ctx context.Context, pid string) error {
	var errs []error
	for _, kind := range []struct{ list, remove string }{
		{"ps --all --format {{.Names}}", "rm --force --volumes"},
		{"network ls --format {{.Name}}", "network rm"},
		{"volume ls --format {{.Name}}", "volume rm --force"},
	} {
		listed, err := l.docker(ctx, strings.Fields(kind.list)...)
		errs = append(errs, err)
		for name := range strings.FieldsSeq(listed) {
			if owner(name) == pid {
				_, err := l.docker(ctx, append(strings.Fields(kind.remove), name)...)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// unmountBelow takes away the file systems that trials have mounted.
func unmountBelow(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || dir == "" {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			errs = append(errs, unix.Unmount(fields[1], unix.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// describe says where the trials run.
func (l *Lab) describe(ctx context.Context) record.Machine {
	m := record.Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Engine: "?", Compose: "?", Proxy: "?"}
	if out, err := l.docker(ctx, "version", "--format", "{{.Server.Version}}"); err == nil {
		m.Engine = out
	}
	if out, err := l.docker(ctx, "compose", "version", "--short"); err == nil {
		m.Compose = out
	}
	if out, err := l.docker(ctx, "run", "--rm", "--entrypoint", "haproxy", l.standins["proxy"], "-v"); err == nil {
		if words := strings.Fields(out); len(words) > 2 {
			m.Proxy = words[2]
		}
	}
	return m
}
