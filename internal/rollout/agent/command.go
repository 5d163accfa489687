package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitInterrupted = 130
)

// A Host is the outside world of a command.
type Host struct {
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Now    func() time.Time
	Name   string // of this container
	Build  string // version of the program
	Target func(state, environment, project string) func(context.Context) (Target, error)
}

// A command is one of the program's.
type command struct {
	name  string // may be two words
	about string
	run   func(*call, context.Context) error
}

// A call is a command with its flags.
type call struct {
	Host
	flags  *flag.FlagSet
	state  string
	layout wire.Layout

	environment, project string
	id, actor, reason    string
	anchor               string
	number               int
	json                 bool
}

func commands() []command {
	ask := func(a rollout.Action) func(*call, context.Context) error {
		return func(c *call, _ context.Context) error { return c.ask(a) }
	}
	return []command{
		{"serve", "lead the roll-outs of a target, or stand by, until SIGTERM", (*call).serve},
		{"order", "take an order (JSON) from standard input, and print its ID", (*call).order},
		{"put bundle", "take the files of a release (tar) from standard input, and print their digest", (*call).putBundle},
		{"put secrets", "take secrets (JSON) from standard input", (*call).putSecrets},
		{"status", "tell what is true now", (*call).status},
		{"watch", "tell each change, until the order is done", (*call).watch},
		{"abort", "take the roll-out under way back", ask(rollout.Abort)},
		{"pause", "keep the roll-out under way at its weight", ask(rollout.Pause)},
		{"resume", "let a paused roll-out go on", ask(rollout.Resume)},
		{"promote", "go on to the next weight now", ask(rollout.Promote)},
		{"smoke", "ask all parts of what serves together", (*call).smoke},
		{"history", "list what was rolled out, the newest first", (*call).history},
		{"verify", "check the chain of the audit log", (*call).verify},
		{"head", "print the last entry of the audit log, HASH:N", (*call).head},
		{"version", "print the version", (*call).version},
	}
}

// Errors of commands that have exit codes of their own. A usage error is of who called it.
type (
	usage  struct{ error }
	failed struct{ error }
)

func (u usage) Unwrap() error  { return u.error }
func (f failed) Unwrap() error { return f.error }

// Main runs the command that the arguments name and returns the exit code.
func Main(ctx context.Context, host Host, args []string) int {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) < len(words) || !slices.Equal(words, args[:len(words)]) {
			continue
		}
		call := newCall(host, c)
		err := call.parse(args[len(words):])
		if err == nil {
			err = c.run(call, ctx)
		}
		return call.code(ctx, err)
	}
	help(host.Err)
	if len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		return exitDone
	}
	return exitUsage
}

func help(w io.Writer) {
	var b strings.Builder
	b.WriteString("meteragent lives on a deploy target and rolls releases out.\n\nUsage: meteragent COMMAND -state DIR [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, c.about)
	}
	b.WriteString("\n`meteragent COMMAND -h` lists the flags of one.\nExit codes: 0 done, 1 it failed or was refused, 2 wrong usage or input, 3 it could not be found out, 130 interrupted.\n")
	_, _ = io.WriteString(w, b.String()) // there is nobody else to tell
}

func newCall(host Host, c command) *call {
	call := &call{Host: host, flags: flag.NewFlagSet(c.name, flag.ContinueOnError)}
	call.flags.SetOutput(host.Err)
	f := call.flags
	f.Usage = func() {
		_, _ = fmt.Fprintf(host.Err, "meteragent %s: %s.\n", c.name, c.about)
		f.PrintDefaults()
	}
	if c.name == "version" {
		return call
	}
	f.StringVar(&call.state, "state", "", "the state directory, an absolute path")
	switch c.name {
	case "serve", "smoke":
		f.StringVar(&call.environment, "environment", "", "name of the environment: production")
		f.StringVar(&call.project, "project", "", "of Docker Compose; empty is meter- and the environment")
	case "abort", "pause", "resume", "promote":
		f.StringVar(&call.actor, "actor", "", "who asks for it")
		f.StringVar(&call.reason, "reason", "", "why")
	case "watch":
		f.StringVar(&call.id, "id", "", "of the order; empty is the one that waits or is being done")
	case "history":
		f.IntVar(&call.number, "n", 20, "how many; 0 is all")
	case "verify":
		f.StringVar(&call.anchor, "anchor", "", "HASH:N that was kept elsewhere")
	}
	if c.name == "history" || c.name == "status" {
		f.BoolVar(&call.json, "json", false, "for a program")
	}
	return call
}

func (c *call) parse(args []string) error {
	if err := c.flags.Parse(args); err != nil {
		return usage{err}
	}
	switch {
	case c.flags.NArg() > 0:
		return usage{fmt.Errorf("unknown argument %q", c.flags.Arg(0))}
	case c.flags.Name() == "version":
		return nil
	case !filepath.IsAbs(c.state):
		return usage{errors.New("-state needs the absolute path of the state directory")}
	}
	c.layout = wire.Layout{Dir: filepath.Clean(c.state)}
	return nil
}

// code says the error, in harmless text, and what the exit code is.
func (c *call) code(ctx context.Context, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	_, wrong := errors.AsType[usage](err)
	_, bad := errors.AsType[failed](err)
	if text := plain.Line(err.Error()); text != "" {
		_, _ = fmt.Fprintf(c.Err, "meteragent %s: %s\n", c.flags.Name(), text)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case wrong:
		return exitUsage
	case bad:
		return exitFailed
	default:
		return exitUnknown
	}
}

// print writes lines for people, each harmless.
func (c *call) print(format string, args ...any) error {
	_, err := io.WriteString(c.Out, plain.Text(fmt.Sprintf(format, args...))+"\n")
	return err
}
