package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// repository is the git repository that the project lies in; without gitDir there is none.
type repository struct {
	scope   engine.Scope
	gitDir  string // absolute
	prefix  string // of the project below the top of the work tree, with a slash at its end; empty at the top
	shallow bool
	remerge bool // this git can show what a merge itself changed
}

// openRepository asks git. That there is none is no error, but that git can't answer is.
func openRepository(ctx context.Context, scope engine.Scope) (repository, error) {
	repo := repository{scope: scope}
	out, err := repo.git(ctx, "rev-parse", "--is-shallow-repository", "--absolute-git-dir", "--show-prefix")
	if err != nil {
		if _, statErr := os.Stat(filepath.Join(scope.Root, ".git")); errors.Is(statErr, fs.ErrNotExist) {
			return repo, nil
		}
		return repo, fmt.Errorf("read the repository: %w: install git", err)
	}
	if out.ExitCode != 0 {
		if strings.Contains(string(out.Stderr), "not a git repository") {
			return repo, nil
		}
		return repo, fmt.Errorf("read the repository: %s", python.LastLine(out.Stderr, out.Stdout))
	}
	lines := strings.Split(string(out.Stdout), "\n")
	if len(lines) < 3 {
		return repo, fmt.Errorf("read the repository: git said %q", out.Stdout)
	}
	repo.shallow, repo.gitDir, repo.prefix = lines[0] == "true", lines[1], lines[2]
	version, err := repo.git(ctx, "version")
	if err != nil {
		return repo, err
	}
	repo.remerge = newerThan(string(version.Stdout), 2, 35)
	return repo, nil
}

var gitVersion = regexp.MustCompile(`\b(\d+)\.(\d+)\b`)

func newerThan(version string, major, minor int) bool {
	m := gitVersion.FindSubmatch([]byte(version))
	return m != nil && (atoi(m[1]) > major || atoi(m[1]) == major && atoi(m[2]) > minor)
}

func (r repository) git(ctx context.Context, args ...string) (engine.Output, error) {
	return r.scope.Run(ctx, engine.Invocation{Program: "git", Args: args, Env: withoutGit(r.scope.Env, nil)})
}

// files lists what is tracked, and what is neither tracked nor ignored. Without a repository it is everything but the
// environments and the pipeline's own state.
func (r repository) files(ctx context.Context, p *config.Project) ([]string, error) {
	if r.gitDir == "" {
		return walkAll(p)
	}
	out, err := r.git(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("list files: %s", python.LastLine(out.Stderr, out.Stdout))
	}
	files := strings.FieldsFunc(string(out.Stdout), func(c rune) bool { return c == 0 })
	slices.Sort(files)
	return slices.Compact(files), nil // a file in conflict is listed once for each side
}

func walkAll(p *config.Project) ([]string, error) {
	own := map[string]bool{".git": true, ".pipeline": true, path.Clean(p.Python.Directory): true}
	for _, apart := range p.Python.Apart {
		own[path.Clean(apart.Directory)] = true
	}
	var files []string
	err := filepath.WalkDir(p.Root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := python.Relative(p.Root, at)
		if entry.IsDir() {
			if own[rel] {
				return filepath.SkipDir
			}
			return nil
		}
		files = append(files, rel)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return files, nil
}

// logOptions have git show every change as plain text: of all branches, of merges too, whatever the user's settings
// and the repository's attributes say. gitleaks adds them to `git log -p -U0`.
func (r repository) logOptions() []string {
	merges := "-m" // against each parent: more than needed, but an older git can do no better
	if r.remerge {
		merges = "--remerge-diff"
	}
	return []string{
		"--all", "--full-history", "--diff-filter=tuxdb", merges, "--no-ext-diff", "--no-textconv", "--no-color",
		"--no-show-signature", "--no-decorate", "--no-notes", "--pretty=medium", "--submodule=short", "--no-relative",
		"--src-prefix=" + oldPrefix, "--dst-prefix=" + newPrefix,
	}
}

// Prefixes of names in the diff. Of a merge gitleaks takes the name with its prefix, which must be told from a folder.
const (
	oldPrefix = "meter-old/"
	newPrefix = "meter-new/"
)

const commitMark = "\x01"

var changedLines = regexp.MustCompile(`(\d+) (?:insertion|deletion)s?\(`)

// commits counts those that change a line of text, in the same way in which the scan will read them.
func (r repository) commits(ctx context.Context, dir string) (int, error) {
	args := slices.Concat([]string{"log"}, r.logOptions(), []string{"--shortstat", "--pretty=tformat:" + commitMark})
	out, err := r.scope.Run(ctx, engine.Invocation{Program: "git", Args: args, Dir: dir, Env: r.env(dir)})
	if err != nil {
		return 0, err
	}
	if out.ExitCode != 0 {
		if strings.Contains(string(out.Stderr), "does not have any commits yet") {
			return 0, nil
		}
		return 0, fmt.Errorf("count commits: %s: run `git fsck`", python.LastLine(out.Stderr, out.Stdout))
	}
	return countCommits(string(out.Stdout)), nil
}

func countCommits(log string) int {
	n := 0
	for _, stat := range strings.Split(log, commitMark)[1:] {
		for _, m := range changedLines.FindAllStringSubmatch(stat, -1) {
			if lines, err := strconv.Atoi(m[1]); err == nil && lines > 0 {
				n++
				break
			}
		}
	}
	return n
}

// env has git look at the repository from an empty work tree with an empty index, where there are no .gitattributes:
// an attribute such as -diff keeps a file out of every diff.
func (r repository) env(dir string) []string {
	return withoutGit(r.scope.Env, map[string]string{
		"GIT_DIR": r.gitDir, "GIT_WORK_TREE": dir, "GIT_INDEX_FILE": filepath.Join(dir, "no-index"),
		"GIT_ATTR_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0",
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.attributesFile", "GIT_CONFIG_VALUE_0": os.DevNull,
	})
}

// withoutGit drops what a hook, a trace or a person's settings would put between the tools and the repository. What
// says whose repositories git may trust stays.
func withoutGit(env, extra map[string]string) []string {
	own := maps.Clone(env)
	for key := range own {
		ofGit := strings.HasPrefix(key, "GIT_") && !strings.HasPrefix(key, "GIT_CONFIG") && key != "GIT_EXEC_PATH"
		if ofGit || strings.HasPrefix(key, "GITLEAKS_") {
			delete(own, key)
		}
	}
	maps.Copy(own, extra)
	list := make([]string, 0, len(own))
	for _, key := range slices.Sorted(maps.Keys(own)) {
		list = append(list, key+"="+own[key])
	}
	return list
}

// path of a leak, relative to the project: the history's are relative to the top of the repository.
func (r repository) path(l leak) string {
	if l.Commit == "" {
		return l.File
	}
	file := strings.TrimPrefix(l.File, newPrefix)
	if rest, ok := strings.CutPrefix(file, r.prefix); ok {
		return rest
	}
	return strings.Repeat("../", strings.Count(r.prefix, "/")) + file // elsewhere in the repository
}

// copies says what was copied.
type copies struct {
	files  int
	passed []string // links and submodules
}

// copyTree copies files to a directory of their own. One that is gone is a deletion that is not committed yet.
func copyTree(root, dir string, files []string) (copies, error) {
	var c copies
	if err := os.Mkdir(dir, 0o700); err != nil {
		return c, fmt.Errorf("copy files to scan: %w", err)
	}
	for _, file := range files {
		if !filepath.IsLocal(filepath.FromSlash(file)) {
			return c, fmt.Errorf("copy files to scan: git names %q, outside of the project", file)
		}
		from, to := filepath.Join(root, filepath.FromSlash(file)), filepath.Join(dir, filepath.FromSlash(file))
		info, err := os.Lstat(from)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return c, fmt.Errorf("copy files to scan: %w", err)
		case !info.Mode().IsRegular():
			c.passed = append(c.passed, file)
			continue
		}
		if err := copyFile(from, to); err != nil {
			return c, fmt.Errorf("copy files to scan: %w", err)
		}
		c.files++
	}
	return c, nil
}

func copyFile(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
