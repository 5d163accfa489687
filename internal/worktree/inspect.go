package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// An Absence says why there is no commit to speak of.
type Absence string

// Absences, as a person reads them. Present is none.
const (
	Present      Absence = ""
	NoGit        Absence = "there is no git on this machine"
	NoRepository Absence = "the project is in no git repository"
	NoCommit     Absence = "the repository has no commit yet"
)

// A Source is all that images and evidence need to know of what they are made of.
type Source struct {
	State
	Absent  Absence
	Tree    string    // git's hash of the commit's tree, 40 or 64 hexadecimal digits
	Time    time.Time // of the commit, UTC: SOURCE_DATE_EPOCH
	Tags    []string  // that point to the commit, sorted
	Shallow bool      // the history is cut off, and tags may be missing
	CI      CI
}

// TreeDigest is the tree as evidence names it, "gitTree:…", and empty without one.
func (s Source) TreeDigest() string {
	if s.Tree == "" {
		return ""
	}
	return "gitTree:" + s.Tree
}

// Detached reports whether there is a commit, but no branch that is checked out.
func (s Source) Detached() bool { return s.Commit != "" && s.Branch == "" }

// Inspect asks git for everything. That there is nothing to ask about is no error, and said in Absent; an error is that
// git has an answer and won't give it.
func Inspect(ctx context.Context, runner engine.Runner, dir string, env []string, ci CI) (Source, error) {
	source := Source{CI: ci}
	if !installed(env) {
		source.Absent = NoGit
		return source, nil
	}
	git := asker{runner, dir, append(slices.Clone(env), "LC_ALL=C")}
	shallow, err := git.ask(ctx, "rev-parse", "--is-shallow-repository")
	// Git says the same of a repository that is broken.
	if exit, ok := errors.AsType[*exitError](err); ok && strings.Contains(exit.text, "not a git repository") && !exists(filepath.Join(dir, ".git")) {
		source.Absent = NoRepository
		return source, nil
	}
	if err != nil {
		return source, err
	}
	source.Shallow = shallow == "true"
	state := Look(ctx, runner, dir, env)
	source.Dirty = state.Dirty
	if source.Branch, err = git.branch(ctx); err != nil {
		return source, err
	}
	head, err := git.ask(ctx, "rev-parse", "--quiet", "--verify", "HEAD")
	if exit, ok := errors.AsType[*exitError](err); ok && exit.code == 1 && source.Branch != "" {
		source.Absent = NoCommit
		return source, nil
	}
	if err != nil {
		return source, fmt.Errorf("%w: run `git fsck`", err)
	}
	// A status that git won't give must not pass for that of a clean tree.
	if state.Commit != head {
		return source, fmt.Errorf("ask git for the state of the work tree: it speaks of commit %q while HEAD is %s: run `git status`", state.Commit, head)
	}
	if git.peels(ctx, ci.Commit, head) {
		source.CI.Commit = head
	}
	return source, git.commit(ctx, head, &source)
}

var objectName = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)

// peels reports whether an object is an annotated tag of the commit: CI may name the tag that was pushed.
func (a asker) peels(ctx context.Context, object, commit string) bool {
	if object == commit || !objectName.MatchString(object) {
		return false
	}
	peeled, err := a.ask(ctx, "rev-parse", "--quiet", "--verify", object+"^{commit}")
	return err == nil && peeled == commit
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// installed is asked first: that a program can't be started has other reasons, too.
func installed(env []string) bool {
	for _, entry := range env {
		path, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if info, err := os.Stat(filepath.Join(dir, "git")); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return true
			}
		}
	}
	return false
}

// asker puts questions to git.
type asker struct {
	runner engine.Runner
	dir    string
	env    []string
}

// ask returns what git says, without the line end.
func (a asker) ask(ctx context.Context, args ...string) (string, error) {
	out, err := a.runner.Run(ctx, engine.Invocation{
		Program: "git", Dir: a.dir, Env: a.env, Args: append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false"}, args...),
	})
	if err != nil {
		return "", fmt.Errorf("ask git for %s: %w", args[0], err)
	}
	if out.ExitCode != 0 {
		return "", &exitError{args[0], out.ExitCode, plain.Line(strings.TrimSpace(string(out.Stderr)))}
	}
	return strings.TrimSuffix(string(out.Stdout), "\n"), nil
}

type exitError struct {
	what string
	code int
	text string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("ask git for %s: exit code %d: %s", e.what, e.code, e.text)
}

// branch is the one that is checked out, empty on a detached HEAD. Look can't tell one that is called "(detached)".
func (a asker) branch(ctx context.Context) (string, error) {
	ref, err := a.ask(ctx, "symbolic-ref", "--quiet", "HEAD")
	if exit, ok := errors.AsType[*exitError](err); ok && exit.code == 1 {
		return "", nil
	}
	return strings.TrimPrefix(ref, "refs/heads/"), err
}

// commit reads what belongs to the commit.
func (a asker) commit(ctx context.Context, head string, source *Source) error {
	text, err := a.ask(ctx, "show", "--no-patch", "--no-show-signature", "--format=%T %ct", head)
	if err != nil {
		return err
	}
	tree, seconds, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || tree == "" {
		return fmt.Errorf("ask git for the commit: it says %q", text)
	}
	source.Commit, source.Tree, source.Time = head, tree, time.Unix(at, 0).UTC()
	// No name of a reference holds a line end.
	tags, err := a.ask(ctx, "for-each-ref", "--points-at="+head, "--format=%(refname:strip=2)", "refs/tags")
	if err != nil {
		return err
	}
	if tags != "" {
		source.Tags = strings.Split(tags, "\n")
	}
	slices.Sort(source.Tags)
	return nil
}
