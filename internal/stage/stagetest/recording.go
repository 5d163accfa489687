package stagetest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Recording is what the programs of one step wrote, in the order in which they ran.
type Recording struct {
	Invocations []Invocation `json:"invocations"`
}

// An Invocation is one program's arguments, and what it left behind.
type Invocation struct {
	Command  []string        `json:"command"`
	ExitCode int             `json:"exit_code"`
	Stdout   Text            `json:"stdout"`
	Stderr   Text            `json:"stderr"`
	Files    map[string]Text `json:"files,omitempty"` // made or changed, relative to the run directory
	Failure  string          `json:"failure,omitempty"`
}

// Text is written line by line, so that a recording can be read and its changes can be reviewed. What is no UTF-8 is
// one line in base64.
type Text string

const base64Mark = "base64:"

// MarshalJSON writes the lines.
func (t Text) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return json.Marshal([]string{base64Mark + base64.StdEncoding.EncodeToString([]byte(t))})
	}
	if t == "" {
		return []byte("[]"), nil
	}
	return json.Marshal(strings.Split(string(t), "\n"))
}

// UnmarshalJSON reads the lines.
func (t *Text) UnmarshalJSON(b []byte) error {
	var lines []string
	if err := json.Unmarshal(b, &lines); err != nil {
		return err
	}
	if len(lines) == 1 && strings.HasPrefix(lines[0], base64Mark) {
		content, err := base64.StdEncoding.DecodeString(lines[0][len(base64Mark):])
		*t = Text(content)
		return err
	}
	*t = Text(strings.Join(lines, "\n"))
	return nil
}

func encode(t *testing.T, r Recording) []byte {
	t.Helper()
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(r); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// places stand in recordings for directories that are elsewhere in every run.
type places struct{ pairs [][2]string }

func newPlaces(t *testing.T, root, run string) places {
	repository := Repository(t)
	if run == "" {
		run = filepath.Join(filepath.Dir(root), "run")
	}
	p := places{[][2]string{
		{filepath.Join(run, "artifacts"), "{artifacts}"},
		{filepath.Join(run, "scratch"), "{scratch}"},
		{root, "{root}"},
		{filepath.Dir(root), "{base}"},
		{filepath.Join(repository, ".venv"), "{venv}"},
		{repository, "{repository}"},
	}}
	if home := pythonHome(filepath.Join(repository, ".venv", "pyvenv.cfg")); home != "" {
		p.pairs = append(p.pairs, [2]string{home, "{python}"})
	}
	return p
}

// pythonHome is where the interpreter's own library is: tracebacks name it.
func pythonHome(config string) string {
	content, err := os.ReadFile(config)
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "home" {
			return filepath.Dir(strings.TrimSpace(value))
		}
	}
	return ""
}

func (p places) hide(s string) string {
	for _, pair := range p.pairs {
		s = strings.ReplaceAll(s, pair[0], pair[1])
		s = strings.ReplaceAll(s, inJSON(pair[0]), pair[1])
	}
	return bareInterpreter.ReplaceAllString(s, "{bare}/bin/python")
}

// bareInterpreter is in another directory in every run, too.
var bareInterpreter = regexp.MustCompile(`[^ "\n]*/bare/bin/python`)

func (p places) show(s string) string {
	for _, pair := range p.pairs {
		s = strings.ReplaceAll(s, pair[1], pair[0])
	}
	return s
}

func (p places) showAll(texts []string) []string {
	shown := make([]string, 0, len(texts))
	for _, text := range texts {
		shown = append(shown, p.show(text))
	}
	return shown
}

// inJSON is how a program that escapes what is not ASCII writes a path.
func inJSON(path string) string {
	var b strings.Builder
	for _, r := range path {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		b.WriteString(`\u`)
		const digits = "0123456789abcdef"
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[r>>shift&0xf])
		}
	}
	return b.String()
}

// recorder runs the real programs and keeps what they wrote.
type recorder struct {
	engine.Runner
	t     *testing.T
	dir   string // the run directory
	calls []call
}

type call struct {
	invocation engine.Invocation
	out        engine.Output
	err        error
	files      map[string]string
}

func (r *recorder) observe(dir string) { r.dir = dir }

// Run keeps the output, and each file that the program made or changed.
func (r *recorder) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	before := files(r.t, r.dir)
	out, err := r.Runner.Run(ctx, i)
	changed := map[string]string{}
	for name, content := range files(r.t, r.dir) {
		if old, ok := before[name]; !ok || old != content {
			changed[name] = content
		}
	}
	r.calls = append(r.calls, call{i, out, err, changed})
	return out, err
}

func (r *recorder) recording(at places, scrub func(string) string) Recording {
	clean := func(s string) string {
		s = at.hide(s)
		if scrub != nil {
			s = scrub(s)
		}
		return s
	}
	recording := Recording{Invocations: []Invocation{}}
	for _, c := range r.calls {
		i := Invocation{
			Command: commandOf(c.invocation, at), ExitCode: c.out.ExitCode,
			Stdout: Text(clean(string(c.out.Stdout))), Stderr: Text(clean(string(c.out.Stderr))),
		}
		if c.err != nil {
			i.Failure = clean(c.err.Error())
		}
		for name, content := range c.files {
			if i.Files == nil {
				i.Files = map[string]Text{}
			}
			i.Files[name] = Text(clean(content))
		}
		recording.Invocations = append(recording.Invocations, i)
	}
	return recording
}

func commandOf(i engine.Invocation, at places) []string {
	command := []string{filepath.Base(i.Program)} // where it is found is another matter
	for _, arg := range i.Args {
		command = append(command, at.hide(arg))
	}
	return command
}

// kept are the files that a recording holds: what steps read, and source that tools change, but not what tools keep
// for themselves.
func kept(name string) bool {
	ending := filepath.Ext(name)
	return slices.Contains([]string{".json", ".xml", ".txt", ".py"}, ending) || filepath.Base(name) == "index.html"
}

// files reads what is in the run's artifacts and scratch directories, and in the project beside the run; of a page the
// beginning is enough.
func files(t *testing.T, run string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"artifacts", "scratch", "../" + projectName} {
		err := filepath.WalkDir(filepath.Join(run, dir), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // a directory that is not there yet
				return nil
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == ".git":
				return filepath.SkipDir
			case !entry.Type().IsRegular() || !kept(path):
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if filepath.Ext(path) == ".html" {
				content = content[:min(len(content), 100)]
			}
			name, err := filepath.Rel(run, path)
			if err != nil {
				return err
			}
			found[filepath.ToSlash(name)] = string(content)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// player gives what was recorded, to a step that must start the same programs in the same order.
type player struct {
	t         *testing.T
	recording Recording
	places    places
	dir       string
	next      int
}

func (p *player) observe(dir string) { p.dir = dir }

func (p *player) Run(_ context.Context, i engine.Invocation) (engine.Output, error) {
	if p.next >= len(p.recording.Invocations) {
		p.t.Errorf("the step starts a program that was not recorded: %q", commandOf(i, p.places))
		return engine.Output{}, errNotRecorded
	}
	recorded := p.recording.Invocations[p.next]
	p.next++
	if got := commandOf(i, p.places); !slices.Equal(got, recorded.Command) {
		p.t.Errorf("the step starts %q, where %q was recorded: run the test with -update", got, recorded.Command)
	}
	for name, content := range recorded.Files {
		path := filepath.Join(p.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(p.places.show(string(content))), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	if recorded.Failure != "" {
		return engine.Output{}, failure(recorded.Failure)
	}
	return engine.Output{
		ExitCode: recorded.ExitCode,
		Stdout:   []byte(p.places.show(string(recorded.Stdout))),
		Stderr:   []byte(p.places.show(string(recorded.Stderr))),
	}, nil
}

func (p *player) done() {
	p.t.Helper()
	if left := len(p.recording.Invocations) - p.next; left > 0 {
		p.t.Errorf("%d recorded programs were not started", left)
	}
}

type failure string

func (f failure) Error() string { return string(f) }

const errNotRecorded failure = "it was not recorded"
