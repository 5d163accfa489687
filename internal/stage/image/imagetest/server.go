package imagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// serve starts a server and waits for its socket.
func (m *Machine) serve(ctx context.Context, program, socket string, args ...string) error {
	name := filepath.Base(program)
	log, err := os.Create(filepath.Join(m.dir, name+".log"))
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	m.servers = append(m.servers, ended)
	var outcome error
	env := m.environment() // later servers add to it
	go func() {
		defer close(ended)
		defer func() { _ = log.Close() }()
		_, outcome = m.runner.Run(m.life, engine.Invocation{
			Program: program, Args: args, Dir: m.dir, Env: env,
			Line: func(line string) { _, _ = fmt.Fprintln(log, line) },
		})
	}()
	for deadline := time.Now().Add(startLimit); ; {
		if connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket); err == nil {
			return connection.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("start %s: it ended (%w): %s", name, orNil(outcome), m.tail(name))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("start %s: it does not serve within %v: %s", name, startLimit, m.tail(name))
		}
	}
}

func orNil(err error) error {
	if err == nil {
		return errors.New("by itself")
	}
	return err
}

// tail is the end of a server's log.
func (m *Machine) tail(name string) string {
	content, err := os.ReadFile(filepath.Join(m.dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " / ")
}

// Close ends everything that Start has started.
func (m *Machine) Close() error {
	var errs []error
	if m.registry != nil {
		errs = append(errs, m.registry.Close())
	}
	if m.stop != nil {
		m.stop()
	}
	for _, ended := range m.servers {
		<-ended
	}
	if m.provisioner != nil {
		errs = append(errs, m.provisioner.Close(context.Background()))
	}
	if m.runner != nil {
		errs = append(errs, m.runner.Close())
	}
	if m.dir != "" {
		errs = append(errs, m.clear())
	}
	if m.lock != nil {
		errs = append(errs, m.lock.Close())
	}
	return errors.Join(errs...)
}

// clear takes away what an engine has mounted, and the directory of its run. A killed one unmounts nothing.
func (m *Machine) clear() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var below []string
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], m.cache+"/") {
			below = append(below, fields[1])
		}
	}
	var errs []error
	for _, at := range slices.Backward(below) { // the last that was mounted first
		errs = append(errs, unix.Unmount(at, unix.MNT_DETACH))
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}

// environment is the given one, with what leads to this machine.
func (m *Machine) environment() []string {
	values := map[string]string{}
	for _, entry := range m.options.Env {
		if name, value, ok := strings.Cut(entry, "="); ok && name != tool.RunVariable {
			values[name] = value
		}
	}
	maps.Copy(values, m.added)
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		entries = append(entries, name+"="+values[name])
	}
	return entries
}

func (m *Machine) get(name string) string {
	for _, entry := range m.environment() {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func (m *Machine) has(program string) bool {
	for _, dir := range filepath.SplitList(m.get("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, program)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

func (m *Machine) say(text string) { m.options.Log("%s", text) }

// run runs a program to its end.
func (m *Machine) run(ctx context.Context, program string, args ...string) error {
	out, err := m.runner.Run(ctx, engine.Invocation{Program: program, Args: args, Dir: m.dir, Env: m.environment()})
	if err == nil && out.ExitCode != 0 {
		words := strings.TrimSpace(string(out.Stderr) + string(out.Stdout))
		err = fmt.Errorf("%s %s: exit code %d: %s", program, args[0], out.ExitCode, words[max(0, len(words)-500):])
	}
	return err
}

// Execute runs a command with the machine, shows what it writes, and returns that and its exit code.
func (m *Machine) Execute(ctx context.Context, dir string, command []string) (out engine.Output, err error) {
	runner := m.runner
	if runner == nil { // the machine is another's
		state, err := os.MkdirTemp("", "machine-")
		if err != nil {
			return out, err
		}
		defer func() { _ = os.RemoveAll(state) }()
		runner = tool.NewRunner(tool.Options{State: state, Run: runID(), Grace: endLimit})
		defer func() { _ = runner.Close() }()
	}
	return runner.Run(ctx, engine.Invocation{
		Program: command[0], Args: command[1:], Dir: dir, Env: m.Env,
		Line: func(line string) { _, _ = fmt.Fprintln(os.Stderr, line) },
	})
}

// runID names what this process starts.
func runID() string { return fmt.Sprintf("machine-%d-%d", os.Getpid(), time.Now().UnixNano()) }
