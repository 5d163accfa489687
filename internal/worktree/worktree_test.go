package worktree_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A repository is a real one, with the runner of a run. What images get of each situation is tested in package tags.
type repository struct {
	t      *testing.T
	dir    string
	runner *tool.Runner
}

func newRepository(t *testing.T) repository {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a projéct")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	runner := tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: "worktree-" + strings.ReplaceAll(t.TempDir(), "/", "-")})
	t.Cleanup(func() { _ = runner.Close() })
	return repository{t, dir, runner}
}

func (r repository) env() []string {
	const when = "2026-01-02T03:04:05+0200"
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.t.TempDir(), "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(r.dir), "LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.org", "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.org", "GIT_COMMITTER_DATE=" + when,
	}
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	git := exec.CommandContext(r.t.Context(), "git", args...)
	git.Dir, git.Env = r.dir, r.env()
	out, err := git.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) inspect() (worktree.Source, error) {
	r.t.Helper()
	return worktree.Inspect(r.t.Context(), r.runner, r.dir, r.env(), worktree.CI{})
}

func TestInspect(t *testing.T) {
	r := newRepository(t)
	r.git("init", "-q", "-b", "main")
	r.write("file", "1")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "first")
	r.git("tag", "v1.2.3")
	r.git("tag", "-a", "-m", "x", "nächste")
	want := worktree.Source{
		State: worktree.State{Commit: r.git("rev-parse", "HEAD"), Branch: "main"},
		Tree:  r.git("rev-parse", "HEAD^{tree}"), Tags: []string{"nächste", "v1.2.3"},
		Time: time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
	}
	got, err := r.inspect()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	if got.TreeDigest() != "gitTree:"+want.Tree || got.Detached() {
		t.Errorf("its tree is %s, detached: %t", got.TreeDigest(), got.Detached())
	}
	if state := worktree.Look(t.Context(), r.runner, r.dir, r.env()); state != want.State {
		t.Errorf("a look sees %+v", state)
	}
	r.write("file", "2")
	if got, err := r.inspect(); err != nil || !got.Dirty {
		t.Errorf("changed: %+v, %v", got, err)
	}
}

// What git allows as a branch's name, and what separates fields elsewhere.
func TestNamesOfBranches(t *testing.T) {
	for _, name := range []string{"(detached)", "(initial)", "a\u00a0b", "a\u3000b", "a;rm${IFS}-rf", "zzz\";echo${IFS}\"hello\";#", "--", "\xff"} {
		if strings.HasPrefix(name, "-") {
			continue // git refuses it
		}
		r := newRepository(t)
		r.git("init", "-q")
		r.git("symbolic-ref", "HEAD", "refs/heads/"+name)
		r.git("commit", "-q", "--allow-empty", "-m", "first")
		got, err := r.inspect()
		if err != nil || got.Branch != name || got.Commit == "" || got.Dirty {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
		if state := worktree.Look(t.Context(), r.runner, r.dir, r.env()); state.Branch != name && name != "(detached)" {
			t.Errorf("%q: a look sees %+v", name, state)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	r := newRepository(t)
	if got, err := r.inspect(); err != nil || got.Absent != worktree.NoRepository {
		t.Errorf("no repository: %+v, %v", got, err)
	}
	r.git("init", "-q", "-b", "main")
	if got, err := r.inspect(); err != nil || got.Absent != worktree.NoCommit || got.Branch != "main" || got.TreeDigest() != "" {
		t.Errorf("no commit: %+v, %v", got, err)
	}
	for _, env := range [][]string{nil, {"PATH="}, {"PATH=" + t.TempDir()}} {
		if got, err := worktree.Inspect(t.Context(), r.runner, r.dir, env, worktree.CI{}); err != nil || got.Absent != worktree.NoGit {
			t.Errorf("no git: %+v, %v", got, err)
		}
	}
}

// A broken repository is neither none nor a clean one.
func TestBrokenRepositories(t *testing.T) {
	for name, spoil := range map[string]struct {
		path, content, want string
	}{
		"HEAD is garbage":      {".git/HEAD", "\x00garbage", "git"},
		"the index is garbage": {".git/index", "garbage", "git status"},
		"the commit is gone":   {".git/refs/heads/main", strings.Repeat("1", 40) + "\n", "git"},
		"the branch is empty":  {".git/refs/heads/main", "", "git"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			r.git("init", "-q", "-b", "main")
			r.git("commit", "-q", "--allow-empty", "-m", "first")
			r.write(spoil.path, spoil.content)
			got, err := r.inspect()
			if err == nil || !strings.Contains(err.Error(), spoil.want) {
				t.Errorf("it is taken for %+v, %v", got, err)
			}
			t.Logf("the error: %v", err)
		})
	}
}

func TestWhatCISays(t *testing.T) {
	for _, test := range []struct {
		ci                worktree.CI
		branch, tag, pull string
	}{
		{worktree.CI{}, "", "", ""},
		{worktree.CI{Event: "push", Ref: "refs/heads/main"}, "main", "", ""},
		{worktree.CI{Event: "push", Ref: "refs/heads/refs/tags/v1"}, "refs/tags/v1", "", ""},
		{worktree.CI{Event: "push", Ref: "refs/tags/v1.2.3"}, "", "v1.2.3", ""},
		{worktree.CI{Event: "pull_request", Ref: "refs/pull/7/merge", HeadRef: "main"}, "", "", "7"},
		{worktree.CI{Event: "pull_request_target", Ref: "refs/heads/main"}, "", "", "?"},
		{worktree.CI{Event: "workflow_dispatch", Ref: "refs/pull/7/head"}, "", "", "7"},
		{worktree.CI{Event: "push", Ref: "main"}, "", "", ""},
		{worktree.CI{Event: "push", Ref: "refs/pull/x/merge"}, "", "", ""},
	} {
		if branch, tag, pull := test.ci.Branch(), test.ci.Tag(), test.ci.Pull(); branch != test.branch || tag != test.tag || pull != test.pull {
			t.Errorf("%+v: branch %q, tag %q, pull request %q", test.ci, branch, tag, pull)
		}
	}
}

func TestEpochIsTheCommits(t *testing.T) {
	r := newRepository(t)
	r.git("init", "-q", "-b", "main")
	r.git("commit", "-q", "--allow-empty", "-m", "first")
	state := worktree.Look(t.Context(), r.runner, r.dir, r.env())
	epoch := func(env []string, state worktree.State) string {
		t.Helper()
		for _, entry := range worktree.WithEpoch(t.Context(), r.runner, r.dir, env, state) {
			if value, ok := strings.CutPrefix(entry, "SOURCE_DATE_EPOCH="); ok {
				return value
			}
		}
		return ""
	}
	if got := epoch(r.env(), state); got != "1767315845" {
		t.Errorf("the commit of 2026-01-02T01:04:05Z: %q", got)
	}
	if got := epoch(append(r.env(), "SOURCE_DATE_EPOCH=7"), state); got != "7" {
		t.Errorf("what was set is %q", got)
	}
	if got := epoch(r.env(), worktree.State{}); got != "" {
		t.Errorf("without a commit it is %q", got)
	}
}
