package tags_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A situation is a real repository, and what CI says; given is what a person would call it.
type situation struct {
	given   string
	git     string      // commands, one a line; in the end dir is what the project's directory is
	dir     string      // relative to where the commands begin; empty: there
	files   []string    // written after the commands, and not committed
	noGit   bool        // there is no git on PATH
	ci      worktree.CI // {sha} stands for the commit, {tag} for the object of tag v1.2.3
	dirty   bool        // -dirty is given
	push    []string    // tags at push; {sha} stands for the first 10 characters of the commit
	later   []string    // tags after integration and benchmark
	refused string      // what the refusal says
}

const begin = "init -q -b main .\ncommit -q --allow-empty -m first\n"

func on(branch string) string { return begin + "checkout -q -b " + branch + "\n" }

func pushed(ref string) worktree.CI { return worktree.CI{Event: "push", Ref: ref, Commit: "{sha}"} }

var sha = []string{"{sha}"}

// long has 120 characters: one more fits, two do not.
var long = strings.Repeat("long-name-", 12)

// of is the hash of a branch's name.
func of(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:6])
}

func situations() []situation {
	return []situation{
		{given: "branch main", git: begin, push: sha, later: []string{"main-latest"}},
		{given: "branch main, pushed, in CI", git: begin, ci: pushed("refs/heads/main"), push: sha, later: []string{"main-latest"}},
		{given: "branch main, in CI's weekly run", git: begin, ci: worktree.CI{Event: "schedule", Ref: "refs/heads/main", Commit: "{sha}"}, push: sha, later: []string{"main-latest"}},
		{given: "branch develop, checked out by CI as a detached HEAD", git: begin + "checkout -q --detach\n", ci: pushed("refs/heads/develop"), push: sha, later: []string{"develop-latest"}},
		{given: "branch feature/Zähler#1;rm${IFS}-rf", git: on("feature/Zähler#1;rm${IFS}-rf"), push: sha, later: []string{"feature-Z-hler-1-rm-IFS--rf-" + of("feature/Zähler#1;rm${IFS}-rf") + "-latest"}},
		{given: "branch feature/Zähler #1; rm -rf, as only CI could say it", git: begin, ci: pushed("refs/heads/feature/Zähler #1; rm -rf"), push: sha, later: []string{"feature-Z-hler-1-rm--rf-" + of("feature/Zähler #1; rm -rf") + "-latest"}},
		{given: "branch feature/a", git: on("feature/a"), push: sha, later: []string{"feature-a-" + of("feature/a") + "-latest"}},
		{given: "branch feature-a, which is another one", git: on("feature-a"), push: sha, later: []string{"feature-a-latest"}},
		{given: "a branch that is called like the tag of feature/a", git: on("feature-a-" + of("feature/a")), push: sha, later: []string{"feature-a-" + of("feature/a") + "-" + of("feature-a-"+of("feature/a")) + "-latest"}},
		{given: "branch main-latest", git: on("main-latest"), push: sha, later: []string{"main-latest-latest"}},
		{given: "branch v1.2.3", git: on("v1.2.3"), push: sha, later: []string{"v1.2.3-latest"}},
		{given: "branch abc1234567", git: on("abc1234567"), push: sha, later: []string{"abc1234567-latest"}},
		{given: "branch (detached)", git: on("(detached)"), push: sha, later: []string{"detached-" + of("(detached)") + "-latest"}},
		{given: "a branch of 121 characters", git: on(long + "x"), push: sha, later: []string{long + "x-latest"}},
		{given: "a branch of 122 characters", git: on(long + "xx"), push: sha, later: []string{long[:108] + "-" + of(long+"xx") + "-latest"}},
		{given: "tag v1.2.3 on main", git: begin + "tag v1.2.3\n", push: sha, later: []string{"main-latest", "v1.2.3"}},
		{given: "tag v1.2.3, signed or annotated", git: begin + "tag -a -m release v1.2.3\n", push: sha, later: []string{"main-latest", "v1.2.3"}},
		{given: "tag v1.2.3 on an earlier commit", git: begin + "tag v1.2.3\ncommit -q --allow-empty -m second\n", push: sha, later: []string{"main-latest"}},
		{given: "tag v1.2.3, pushed, in CI", git: begin + "tag v1.2.3\ncheckout -q --detach\n", ci: pushed("refs/tags/v1.2.3"), push: sha, later: []string{"v1.2.3"}},
		{given: "tag v1.2.3, pushed, in CI, which did not fetch it", git: begin + "checkout -q --detach\n", ci: pushed("refs/tags/v1.2.3"), push: sha, later: []string{"v1.2.3"}},
		{given: "tag v1.2.3, annotated, pushed, in CI, which names the tag's object", git: begin + "tag -a -m release v1.2.3\n", ci: worktree.CI{Event: "push", Ref: "refs/tags/v1.2.3", Commit: "{tag}"}, push: sha, later: []string{"v1.2.3"}},
		{given: "tag v1.2.3-rc.1", git: begin + "tag v1.2.3-rc.1\n", push: sha, later: []string{"main-latest", "v1.2.3-rc.1"}},
		{given: "tag v1.2.3+build.5", git: begin + "tag v1.2.3+build.5\n", push: sha, later: []string{"main-latest", "v1.2.3_build.5"}},
		{given: "tags v1.2.3 and v1.2.4", git: begin + "tag v1.2.4\ntag v1.2.3\n", push: sha, later: []string{"main-latest", "v1.2.3", "v1.2.4"}},
		{given: "tags 1.2.3, v1.2, v01.2.3, nightly and latest", git: begin + "tag 1.2.3\ntag v1.2\ntag v01.2.3\ntag nightly\ntag latest\n", push: sha, later: []string{"main-latest"}},
		{given: "tag v1.2.3-latest", git: begin + "tag v1.2.3-latest\n", push: sha, later: []string{"main-latest"}},
		{given: "detached HEAD", git: begin + "checkout -q --detach\n", push: sha},
		{given: "a shallow clone", git: begin + "commit -q --allow-empty -m second\nclone -q --depth=1 file://{here} clone\n", dir: "clone", push: sha, later: []string{"main-latest"}},
		{given: "a linked work tree", git: begin + "worktree add -q -b develop linked\n", dir: "linked", push: sha, later: []string{"develop-latest"}},
		{given: "a dirty work tree", git: begin + "tag v1.2.3\n", files: []string{"new.py"}, push: []string{"{sha}-dirty"}, refused: "push with -dirty"},
		{given: "a dirty work tree, with -dirty", git: begin + "tag v1.2.3\n", files: []string{"new.py"}, dirty: true, push: []string{"{sha}-dirty"}},
		{given: "a clean work tree, with -dirty", git: begin, dirty: true, push: sha, later: []string{"main-latest"}},
		{given: "a pull request to main", git: begin + "tag v1.2.3\ncheckout -q --detach\n", ci: worktree.CI{Event: "pull_request", Ref: "refs/pull/7/merge", HeadRef: "main", Commit: "{sha}"}, push: sha},
		{given: "a pull request, for which pull_request_target names main", git: begin, ci: worktree.CI{Event: "pull_request_target", Ref: "refs/heads/main", HeadRef: "zzz\";echo${IFS}\"hello\";#", Commit: "{sha}"}, push: sha},
		{given: "the merge queue of main", git: begin, ci: worktree.CI{Event: "merge_group", Ref: "refs/heads/gh-readonly-queue/main/pr-7-abc", Commit: "{sha}"}, push: sha},
		{given: "CI's variables are those of another commit", git: begin, ci: worktree.CI{Event: "push", Ref: "refs/heads/main", Commit: strings.Repeat("0", 40)}, push: sha},
		{given: "CI speaks of notes", git: begin, ci: pushed("refs/notes/commits"), push: sha},
		{given: "a repository of SHA-256", git: strings.Replace(begin, "init -q", "init -q --object-format=sha256", 1), push: sha, later: []string{"main-latest"}},
		{given: "no commit yet", git: "init -q -b main .\n", refused: "the repository has no commit yet"},
		{given: "no repository", refused: "the project is in no git repository"},
		{given: "no git", git: begin, noGit: true, refused: "there is no git on this machine"},
	}
}

// source makes the repository, and looks at it as a run would.
func (s situation) source(t *testing.T) (dir string, source worktree.Source) {
	t.Helper()
	here, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.git) {
		words := strings.Fields(strings.ReplaceAll(line, "{here}", here))
		git := exec.CommandContext(t.Context(), "git", words...)
		git.Dir, git.Env = here, gitEnv(here)
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", words, err, out)
		}
	}
	dir = filepath.Join(here, s.dir)
	for _, name := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("new"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runner := tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: "tags-" + filepath.Base(here) + filepath.Base(filepath.Dir(here))})
	t.Cleanup(func() { _ = runner.Close() })
	ci := s.ci
	if strings.HasPrefix(ci.Commit, "{") {
		revision := map[string]string{"{sha}": "HEAD", "{tag}": "v1.2.3"}[ci.Commit]
		out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "rev-parse", revision).Output()
		if err != nil {
			t.Fatal(err)
		}
		ci.Commit = strings.TrimSpace(string(out))
	}
	source, err = worktree.Inspect(t.Context(), runner, dir, s.env(t, here), ci)
	if err != nil {
		t.Fatal(err)
	}
	return dir, source
}

// env is the environment of a run in that situation.
func (s situation) env(t *testing.T, home string) []string {
	t.Helper()
	if s.noGit {
		return []string{"PATH=" + t.TempDir()}
	}
	return gitEnv(home)
}

// gitEnv has git make the same commits everywhere and always, whoever runs the test.
func gitEnv(home string) []string {
	const when = "2026-01-02T03:04:05+0000"
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(home),
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.org", "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.org", "GIT_COMMITTER_DATE=" + when,
	}
}
