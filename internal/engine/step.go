package engine

import (
	"context"
	"fmt"
	"io"
	"time"
)

// ArtifactsDir in a command's arguments or environment stands for the run's artifacts directory. A placeholder
// keeps the arguments equal from run to run, so that they can be part of a cache key.
const ArtifactsDir = "{artifacts}"

// ScratchDir stands for a temporary directory of the step's own, removed after the step.
const ScratchDir = "{scratch}"

// A Need names something that must be provided before a step can run, such as "python" or "postgres".
type Need string

// Needs that the provisioner knows.
const (
	NeedPostgres Need = "postgres" // an empty database of its own, as DATABASE_URL; "postgres:<label>" is shared
	NeedMLflow   Need = "mlflow"   // the run's MLflow server, as MLFLOW_TRACKING_URI
	NeedPython   Need = "python"   // the project's environment; its programs come first on PATH
	NeedGitleaks Need = "gitleaks" // the secret scanner
	NeedEngine   Need = "engine"   // a container engine, with docker-buildx first on PATH and a builder as BUILDX_BUILDER
)

// A Step is the smallest thing that runs and is judged: one tool, or one function.
type Step struct {
	Name   string // lower case, unique in its stage: black, bandit, pytest
	Judges string // what it judges, a short phrase: "formatting"
	// After names steps that must have passed before it starts, else it is skipped: "black" in its own stage,
	// "unit:pytest" in another one, "unit" for all of a stage.
	After   []string
	Alone   bool // nothing runs beside it, and it waits for all others
	Slots   int  // how many of the scheduler's slots it takes; 0 is 1, more than there are is all of them
	Timeout time.Duration
	Needs   []Need
	Inputs  []string // files and directories that it reads, relative to the root
	// FailAt is the severity from which on findings fail the step; those below are shown only. The zero value fails on
	// every finding. A finding without a severity always fails: nobody said that it is harmless.
	FailAt Severity
	// Informational says that findings never fail the step, since a metric's threshold does (pylint's score).
	Informational bool
	HideFrames    bool   // the lines that it points at must not be shown: they hold secrets
	Rerun         string // the command that runs just this step: "mage quality:black"
	Fix           string // the command that mends what it finds, if there is one: "mage fix"
	Skip          string // if not empty, the step does not run, and this is the reason that is printed

	// Exactly one of the two.
	Command *Command
	Func    func(context.Context, Scope) (Judgement, error)
}

// A Command is pure data plus one pure function: the program and its arguments before, Parse after.
type Command struct {
	Program string            // looked up in what the step's needs provide, then on PATH
	Args    []string          // no shell; ArtifactsDir and ScratchDir are replaced
	Dir     string            // relative to the project's root
	Env     map[string]string // added to the environment
	// Reports names the files that the program writes, relative to the artifacts directory. The engine removes them
	// before the start, so that no earlier run's report is ever read, and hands them to Parse. They are kept.
	Reports map[string]string
	// Progress, if set, reads a line of output and says how far the program is. It is pure.
	Progress func(line string) (done, total int, ok bool)
	// Again, if set, looks at what the program left behind, and may ask for one more start in the same place and with the
	// same environment, whose output Parse gets as Output.Again: pytest runs failed tests once more. Nil asks for none.
	// It is pure.
	Again func(Output) *Command
	// Parse turns output into a judgement. It is pure. An exit code is data here, not an error; an error means that
	// the tool did not judge: it crashed, or its output is not what it should be.
	Parse func(Output) (Judgement, error)
}

// Output is what a finished program left behind.
type Output struct {
	Stdout   []byte
	Stderr   []byte
	ExitCode int
	Reports  map[string][]byte // by the names in Command.Reports; absent if not written
	Root     string            // absolute path of the project's root, to make paths relative
	Again    *Output           // of the second start that Command.Again asked for; nil without one
}

// Report returns a report file's content, or an error that says that the program did not write it, with its last words.
func (o Output) Report(name string) ([]byte, error) {
	b, ok := o.Reports[name]
	if !ok {
		return nil, fmt.Errorf("read %s report: the program did not write it (exit code %d)%s", name, o.ExitCode, o.lastWords())
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("read %s report: the file is empty (exit code %d)%s", name, o.ExitCode, o.lastWords())
	}
	return b, nil
}

// A Scope is what a step's Func may use of the run that it is part of.
type Scope struct {
	Root      string // absolute
	Artifacts string // absolute
	Scratch   string // absolute
	Env       map[string]string
	// Run is the one runner. Where an invocation leaves Dir, Env or Line empty, it gets Root, Env and the step's log.
	Run      func(context.Context, Invocation) (Output, error)
	Progress func(done, total int, what string)
	Log      func(format string, args ...any)
	// Say tells a person something at once, in one line that stays; it is logged, too.
	Say func(format string, args ...any)
	// Panel replaces the lines that stand below the step on a screen for as long as it runs. A log never has them.
	Panel func(lines []string)
}

// An Invocation is one start of one program, with every placeholder replaced.
type Invocation struct {
	Program string   // absolute path, or a name that is looked up on Env's PATH
	Args    []string // without the program
	Dir     string   // absolute
	Env     []string // the whole environment, KEY=value
	// User, if set, is whom the program runs as. Only root can say so; it is for servers that refuse root.
	User *User
	// Stdin, if set, is what the program reads: where a secret belongs, which must be in no argument and no variable.
	Stdin io.Reader
	// Line, if set, gets each line of output as it comes, without its line end, escape sequences and secrets; calls do
	// not overlap.
	Line func(line string)
	// Secrets are values that are masked in lines and output, beside those that the runner knows already.
	Secrets []string
}

// A User is an account of the machine, by number, with no group but its own.
type User struct {
	UID uint32
	GID uint32
}

// A Runner starts programs: the one place of this repository that does. An exit code other than zero is no error;
// an error is: never started, killed by a signal, timed out, cancelled.
type Runner interface {
	Run(context.Context, Invocation) (Output, error)
}

// A Provision is what a Provider gives for a need.
type Provision struct {
	Programs string            // directory in which programs are looked up first; may be empty
	Env      map[string]string // added to the step's environment
	Secrets  []string          // values, such as a password in Env, that nothing may show
	Detail   string            // one line: what was found, and where
	Release  func(context.Context) error
}

// A Provider makes needs available, once per run where they can be shared.
type Provider interface {
	Provide(ctx context.Context, need Need, say func(string)) (Provision, error)
}
