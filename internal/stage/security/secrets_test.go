package security_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// tokens look real to the scanner. They are put together here, so that this file holds none.
func tokens() (first, second, third string) {
	body := "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY"
	return "ghp_" + body + "5", "ghp_" + "z" + body, "AKIA" + "QWERTYUIOPASDFGH"
}

// git runs git with the same names and dates everywhere, so that commits have the same names.
func git(run stagetest.Run, commands ...string) {
	for _, command := range commands {
		args := []string{
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_DATE=2024-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2024-01-02T03:04:05Z",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.invalid", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.invalid",
			"git",
		}
		run("env", append(args, strings.Fields(command)...)...)
	}
}

func secretsSuite() stagetest.Suite {
	first, second, third := tokens()
	put := func(t *testing.T, root, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	committed := func(_ *testing.T, _ string, run stagetest.Run) {
		git(run, "init -q -b main", "add -A", "commit -qm first")
	}
	removed := func(t *testing.T, root string, run stagetest.Run) {
		put(t, root, "conf.py", "TOKEN = \""+first+"\"\n")
		committed(t, root, run)
		git(run, "rm -q conf.py", "commit -qm second")
	}
	file := func(name, content string) map[string]string {
		return map[string]string{"README.md": "Nothing secret.\n", name: content}
	}
	leaky := file("src/conf.py", "A = 1\nTOKEN = \""+first+"\"\n")
	s := suite("secrets", []stagetest.Case{
		{Name: "clean", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: committed},
		{Name: "in-the-tree", Live: true, Files: leaky, Prepare: committed},
		{Name: "not-tracked", Live: true, Files: leaky, Prepare: func(_ *testing.T, _ string, run stagetest.Run) {
			git(run, "init -q -b main", "add README.md", "commit -qm first")
		}},
		{Name: "ignored", Live: true, Files: map[string]string{".gitignore": "*.local\n", "secret.local": "TOKEN = \"" + first + "\"\n"}, Prepare: committed},
		{Name: "in-the-history", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: removed},
		{
			Name: "history-not-wanted", Files: file("src/a.py", "A = 1\n"), Prepare: removed,
			Project: func(p *config.Project) { p.Security.Secrets.History = false },
		},
		{Name: "in-a-merge", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			committed(t, root, run)
			git(run, "checkout -q -b side")
			put(t, root, "b.txt", "side\n")
			git(run, "add -A", "commit -qm side", "checkout -q main")
			put(t, root, "b.txt", "main\n")
			git(run, "add -A", "commit -qm main", "merge -q -s ours --no-commit side")
			put(t, root, "b.txt", "key = "+second+"\n")
			git(run, "add -A", "commit -qm merged", "rm -q b.txt", "commit -qm removed")
		}},
		{Name: "in-a-file-without-diff", Live: true, Files: file(".gitattributes", "*.cfg -diff\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			put(t, root, "a.cfg", "key = "+third+"\n")
			committed(t, root, run)
			git(run, "rm -q a.cfg", "commit -qm removed")
		}},
		{Name: "on-another-branch", Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			committed(t, root, run)
			git(run, "checkout -q -b side")
			put(t, root, "b.txt", "key = "+second+"\n")
			git(run, "add -A", "commit -qm side", "checkout -q main")
		}},
		{Name: "settings-of-the-repository", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			removed(t, root, run)
			git(run, "config color.ui always", "config diff.noprefix true", "config log.showSignature true", "config format.pretty oneline",
				"config diff.external /bin/true", "config log.decorate full")
		}},
		{Name: "shallow-clone", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			removed(t, root, run)
			git(run, "clone -q --bare . ../origin.git")
			if err := os.RemoveAll(filepath.Join(root, ".git")); err != nil {
				t.Fatal(err)
			}
			git(run, "clone -q --bare --depth 1 file://"+strings.ReplaceAll(filepath.Dir(root), " ", "%20")+"/origin.git .git", "config core.bare false", "reset -q")
		}},
		{Name: "linked-work-tree", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			removed(t, root, run)
			git(run, "clone -q --bare . ../main.git", "-C ../main.git worktree add -q --detach ../linked")
			if err := os.RemoveAll(filepath.Join(root, ".git")); err != nil {
				t.Fatal(err)
			}
			link, err := os.ReadFile(filepath.Join(root, "..", "linked", ".git"))
			if err != nil {
				t.Fatal(err)
			}
			put(t, root, ".git", string(link)) // so the project is the linked one
			git(run, "reset -q")
		}},
		{Name: "project-in-a-folder", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			put(t, root, "conf.py", "TOKEN = \""+first+"\"\n")
			put(t, root, "../other.py", "TOKEN = \""+second+"\"\n")
			git(run, "-C .. init -q -b main", "add -A .", "-C .. add other.py", "commit -qm first", "rm -q conf.py", "-C .. rm -q other.py", "commit -qm second")
		}},
		{Name: "no-repository", Live: true, Files: leaky},
		{Name: "no-commit-yet", Files: leaky, Prepare: func(_ *testing.T, _ string, run stagetest.Run) { git(run, "init -q -b main") }},
		{Name: "empty-project", Live: true, Files: map[string]string{"src/": ""}, Prepare: func(_ *testing.T, _ string, run stagetest.Run) { git(run, "init -q -b main") }},
		{Name: "only-empty-files", Files: map[string]string{"src/a.py": ""}, Prepare: committed},
		{Name: "commented-away", Live: true, Files: file("src/conf.py", "TOKEN = \""+first+"\"  # gitleaks:allow\n"), Prepare: committed},
		{Name: "settings-without-rules", Live: true, Files: map[string]string{"src/conf.py": "TOKEN = \"" + first + "\"\n", ".gitleaks.toml": "title = \"nothing\"\n"}, Prepare: committed},
		{Name: "settings-that-pass-over-all", Live: true, Files: map[string]string{
			"src/conf.py":    "TOKEN = \"" + first + "\"\n",
			".gitleaks.toml": "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['''.*''']\n",
		}, Prepare: committed},
		{Name: "unreadable-settings", Files: map[string]string{"src/a.py": "A = 1\n", ".gitleaks.toml": "[[rules]\nuseDefault = true\n"}, Prepare: committed},
		{Name: "ignored-fingerprint", Files: map[string]string{"src/conf.py": "TOKEN = \"" + first + "\"\n", ".gitleaksignore": "src/conf.py:github-pat:1\n"}, Prepare: committed},
		{Name: "torn-history", Live: true, Files: file("src/a.py", "A = 1\n"), Prepare: func(t *testing.T, root string, run stagetest.Run) {
			removed(t, root, run)
			// What README.md was in the first commit.
			run("sh", "-c", "rm -f .git/objects/$(git rev-parse HEAD~1:README.md | sed 's|^..|&/|')")
		}},
		{Name: "hostile-name", Live: true, Files: map[string]string{"src/a b\n::error file=x::owned\x1b[31m.py": "TOKEN = \"" + first + "\"\n"}, Prepare: committed},
		{Name: "odd-files", Files: map[string]string{
			"crlf.py": "A = 1\r\nTOKEN = \"" + first + "\"\r\n", "bom.py": "\ufeffTOKEN = \"" + second + "\"\n",
			"latin.py": "# caf\xe9\nTOKEN = \"" + first + "\"\n", "null.py": "A = \"\x00\"\nTOKEN = \"" + second + "\"\n",
		}, Prepare: committed},
		{Name: "link", Files: file("src/a.py", "A = 1\n"), Links: map[string]string{"link": "/etc/passwd"}, Prepare: committed},
		{Name: "allowed", Files: leaky, Prepare: committed, Project: both(allow("secrets", "github-pat", "2026-12-01"),
			func(p *config.Project) { p.Security.Allow[0].Path = "src/conf.py" })},
		{Name: "started-by-a-hook", Files: leaky, Prepare: committed, Env: []string{"GIT_DIR=/nowhere", "GIT_INDEX_FILE=/nowhere/index", "GITLEAKS_CONFIG=/nowhere.toml"}},
		{Name: "scanner-crashed", From: "clean", Files: file("src/a.py", "A = 1\n"), Tamper: func(r *stagetest.Recording) {
			scan := &r.Invocations[3]
			scan.ExitCode, scan.Stderr, scan.Files = 2, "panic: runtime error: index out of range\n", nil
			r.Invocations = r.Invocations[:4]
		}},
		{Name: "scan-of-nothing", From: "clean", Files: file("src/a.py", "A = 1\n"), Tamper: func(r *stagetest.Recording) {
			r.Invocations[3].Stderr = "4:21AM INF scanned ~0 bytes (0) in 27ms\n4:21AM INF no leaks found\n"
			r.Invocations = r.Invocations[:4]
		}},
		{Name: "commits-missing", From: "clean", Files: file("src/a.py", "A = 1\n"), Tamper: func(r *stagetest.Recording) {
			r.Invocations[5].Stderr = "4:21AM INF 0 commits scanned.\n4:21AM INF scanned ~0 bytes (0) in 27ms\n4:21AM INF no leaks found\n"
		}},
		{Name: "truncated-json", From: "in-the-tree", Files: leaky, Tamper: func(r *stagetest.Recording) {
			r.Invocations[3].Files["scratch/security/secrets/tree.json"] = "[{\"RuleID\": \"x"
			r.Invocations = r.Invocations[:4]
		}},
		{Name: "empty-json", From: "in-the-tree", Files: leaky, Tamper: func(r *stagetest.Recording) {
			r.Invocations[3].Files["scratch/security/secrets/tree.json"] = ""
			r.Invocations = r.Invocations[:4]
		}},
	})
	s.Scrub = func(text string) string { return clock.ReplaceAllString(text, "${1}in 1ms") }
	s.Forbidden = []string{first, second, third}
	return s
}

var clock = regexp.MustCompile(`(scanned ~\d+ bytes \([^)]*\) )in \S+`)

func TestSecrets(t *testing.T) { secretsSuite().Test(t) }
