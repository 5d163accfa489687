package benchmark

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// A Machine is what times depend on beside the code. Figures of different machines are never compared.
type Machine struct {
	CPU          string `json:"cpu"`
	Cores        int    `json:"cores"`
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Kernel       string `json:"kernel"`   // only told: it changes with every update
	Governor     string `json:"governor"` // of the CPU's frequency; "not adjustable" on most virtual machines
}

// same reports whether times of both can be compared, and what differs if not.
func (m Machine) same(other Machine) (bool, string) {
	for _, d := range []struct{ what, now, then string }{
		{"CPU", m.CPU, other.CPU},
		{"number of cores", strconv.Itoa(m.Cores), strconv.Itoa(other.Cores)},
		{"architecture", m.Architecture, other.Architecture},
		{"system", m.OS, other.OS},
		{"frequency governor", m.Governor, other.Governor},
	} {
		if d.now != d.then {
			return false, fmt.Sprintf("its %s is %s, this machine's is %s", d.what, d.then, d.now)
		}
	}
	return true, ""
}

func (m Machine) String() string {
	return fmt.Sprintf("%s (%s), %s, frequency governor %s", python.Count(m.Cores, "core"), m.CPU, m.OS, m.Governor)
}

// Software is what the code runs on. It is told where it differs, and compared all the same: a library that makes the
// system slower is a regression that somebody should hear of.
type Software struct {
	Python   string            `json:"python"`
	Packages map[string]string `json:"packages"` // pinned version by name
}

// changes lists what is not as it was.
func (s Software) changes(then Software) []string {
	var changed []string
	if s.Python != then.Python {
		changed = append(changed, fmt.Sprintf("Python %s → %s", then.Python, s.Python))
	}
	for name, version := range s.Packages {
		switch old, ok := then.Packages[name]; {
		case !ok:
			changed = append(changed, name+" "+version+" is new")
		case old != version:
			changed = append(changed, fmt.Sprintf("%s %s → %s", name, old, version))
		}
	}
	for name := range then.Packages {
		if _, ok := s.Packages[name]; !ok {
			changed = append(changed, name+" is gone")
		}
	}
	slices.Sort(changed)
	return changed
}

// files are where a system says what it is; relative, so that a test can bring its own.
const (
	cpuFile      = "proc/cpuinfo"
	kernelFile   = "proc/sys/kernel/osrelease"
	systemFile   = "etc/os-release"
	governorFile = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
	loadFile     = "proc/loadavg"
)

// readMachine describes the machine whose file system is below root. What can't be told is "unknown", which equals
// itself: on systems without these files only cores and architecture are compared.
func readMachine(root string) Machine {
	m := Machine{
		CPU: "unknown CPU", Cores: runtime.NumCPU(), Architecture: runtime.GOARCH, OS: runtime.GOOS,
		Kernel: line(root, kernelFile, "unknown"), Governor: line(root, governorFile, "not adjustable"),
	}
	if name := field(root, cpuFile, ":", "model name", "Processor", "Model"); name != "" {
		m.CPU = name
	}
	if name := field(root, systemFile, "=", "PRETTY_NAME"); name != "" {
		m.OS = strings.Trim(name, `"'`)
	}
	return m
}

// line is a file's first line, or else a word for that there is none.
func line(root, path, otherwise string) string {
	content, err := os.ReadFile(filepath.Join(root, path))
	text, _, _ := strings.Cut(string(content), "\n")
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return otherwise
	}
	return python.Shorten(text, 100)
}

// field is the first value of one of the keys.
func field(root, path, separator string, keys ...string) string {
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), separator)
		if ok && slices.Contains(keys, strings.TrimSpace(key)) {
			return python.Shorten(value, 100)
		}
	}
	return ""
}

// readLoad is the load average of the last minute; false if it can't be told.
func readLoad(root string) (float64, bool) {
	first, _, _ := strings.Cut(line(root, loadFile, ""), " ")
	load, err := strconv.ParseFloat(first, 64)
	return load, err == nil
}

// pinned is a requirement of a locked file.
var pinned = regexp.MustCompile(`(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)`)

// readSoftware asks the interpreter for its version, and the locked requirements for the packages'.
func readSoftware(ctx context.Context, p *config.Project, scope engine.Scope) (Software, error) {
	out, err := scope.Run(ctx, engine.Invocation{Program: python.Program, Args: []string{"-I", "-V"}, Env: environment(scope.Env, nil)})
	if err != nil {
		return Software{}, err
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(string(out.Stdout)), "Python ")
	if !ok || out.ExitCode != 0 {
		return Software{}, python.Failure(python.Program, out)
	}
	content, err := os.ReadFile(filepath.Join(p.Root, filepath.FromSlash(p.Python.Requirements)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Software{}, fmt.Errorf("read requirements: %w", err)
	}
	s := Software{Python: python.Shorten(version, 40), Packages: map[string]string{}}
	for _, m := range pinned.FindAllSubmatch(content, -1) {
		s.Packages[strings.ToLower(string(m[1]))] = string(m[2])
	}
	return s, nil
}
