package pipeline

import (
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// A Host is the outside world as values. ReadHost is the one place that reads it.
type Host struct {
	Dir string   // absolute; where the command was given
	Env []string // KEY=value
	Out *os.File // data
	Err *os.File // messages
	Now func() time.Time
	// Module is where the pipeline's own source is, for the agent that it brings to targets; empty: the project's directory.
	Module string
}

// ReadHost reads the world around this process.
func ReadHost() (Host, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Host{}, err
	}
	return Host{Dir: dir, Env: os.Environ(), Out: os.Stdout, Err: os.Stderr, Now: time.Now}, nil
}

// Get returns a variable's value, empty if it is not set.
func (h Host) Get(name string) string {
	for _, entry := range slices.Backward(h.Env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// CI reports whether this is a machine of continuous integration, where nothing may be skipped.
func (h Host) CI() bool {
	value := h.Get("CI")
	return value != "" && value != "0" && !strings.EqualFold(value, "false")
}

// onGitHub reports whether this is a job of GitHub Actions.
func (h Host) onGitHub() bool { return h.Get("GITHUB_ACTIONS") == "true" }

// Secrets are the values that nothing may show: of every variable that is declared a secret, or is called like one. The
// name of an account is none, though it goes where its password goes: in Actions it is by default that of the person, and
// masking "runner" would spoil every path below /home/runner that a tool prints and that we use.
func (h Host) Secrets(project *config.Project) []string {
	var secrets []string
	for _, entry := range h.Env {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" && project.IsSecret(name) && !strings.HasSuffix(name, "_USERNAME") {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// Room is the width of the terminal that data goes to, 0 if it is a file or a pipe, which has room for everything.
func (h Host) Room() int {
	if !term.IsTerminal(int(h.Out.Fd())) {
		return 0
	}
	return h.Columns()
}

// Columns is the width of the terminal that data goes to, 80 if there is none.
func (h Host) Columns() int {
	if columns, _, err := term.GetSize(int(h.Out.Fd())); err == nil && columns > 0 {
		return columns
	}
	return 80
}
