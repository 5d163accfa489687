package security

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// secretsFunc scans what a push would publish: the tree, with files that are not tracked yet but not ignored either,
// and every commit. Each is scanned in a directory of its own, so that ignored files are out and no setting of the
// repository's attributes hides a file.
func secretsFunc(p *config.Project, allow allowList) func(context.Context, engine.Scope) (engine.Judgement, error) {
	return func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
		if err := checkRules(p.Root); err != nil {
			return engine.Judgement{}, err
		}
		s := secretScan{project: p, scope: scope}
		return s.judge(ctx, allow)
	}
}

// secretScan is one scan of tree and history.
type secretScan struct {
	project *config.Project
	scope   engine.Scope
	j       engine.Judgement
}

func (s *secretScan) judge(ctx context.Context, allow allowList) (engine.Judgement, error) {
	repo, err := openRepository(ctx, s.scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	found, err := s.tree(ctx, repo)
	if err != nil {
		return engine.Judgement{}, err
	}
	older, err := s.history(ctx, repo)
	if err != nil {
		return engine.Judgement{}, err
	}
	var candidates []candidate
	for _, leak := range distinct(append(found, older...)) {
		candidates = append(candidates, candidate{Finding: leak.finding(repo)})
	}
	s.settings()
	allow.apply(secrets, candidates, &s.j)
	return s.j, nil
}

// tree scans a copy of the files.
func (s *secretScan) tree(ctx context.Context, repo repository) ([]leak, error) {
	files, err := repo.files(ctx, s.project)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.scope.Scratch, "tree")
	copied, err := copyTree(s.project.Root, dir, files)
	if err != nil {
		return nil, err
	}
	if err := takeRules(s.project.Root, dir); err != nil {
		return nil, err
	}
	if copied.files == 0 {
		return nil, errors.New("there is no file to scan for secrets: every one is ignored, or the project is empty")
	}
	result, err := runGitleaks(ctx, s.scope, dir, nil, gitleaksArgs("dir", s.scope.Scratch, "tree.json"))
	if err != nil {
		return nil, err
	}
	if result.bytes == 0 {
		return nil, fmt.Errorf("the secret scan read none of %s: its own settings exclude all of them", python.Count(copied.files, "file"))
	}
	s.j.Judged, s.j.Unit = copied.files, "files"
	s.j.Notes = append(s.j.Notes, fmt.Sprintf("%s of the tree, %d bytes of text", python.Count(copied.files, "file"), result.bytes))
	if len(copied.passed) > 0 {
		s.j.Notes = append(s.j.Notes, "not scanned, since they are links or submodules: "+python.List(copied.passed, 5))
	}
	return result.leaks, nil
}

// history scans every commit, and checks that it was every commit: gitleaks ends well when git fails half-way.
func (s *secretScan) history(ctx context.Context, repo repository) ([]leak, error) {
	switch {
	case !s.project.Security.Secrets.History:
		s.j.Notes = append(s.j.Notes, "the history was not scanned: security.secrets.history of pipeline.yaml is off")
		return nil, nil
	case repo.gitDir == "":
		s.j.Notes = append(s.j.Notes, "there is no history to scan: this is no git repository")
		return nil, nil
	}
	dir := filepath.Join(s.scope.Scratch, "history")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for the history: %w", err)
	}
	if err := takeRules(s.project.Root, dir); err != nil {
		return nil, err
	}
	expected, err := repo.commits(ctx, dir)
	if err != nil {
		return nil, err
	}
	if expected == 0 {
		s.j.Notes = append(s.j.Notes, "there is no history to scan: no commit adds any text")
		return nil, nil
	}
	result, err := runGitleaks(ctx, s.scope, dir, repo.env(dir), gitleaksArgs("git", s.scope.Scratch, "history.json", repo.logOptions()...))
	if err != nil {
		return nil, err
	}
	if result.commits < expected {
		return nil, fmt.Errorf("the secret scan read %d of %d commits: run `git fsck`, and see its log", result.commits, expected)
	}
	s.j.Notes = append(s.j.Notes, fmt.Sprintf("%s of the history that changed text, %d bytes", python.Count(result.commits, "commit"), result.bytes))
	if repo.shallow {
		s.j.Warnings = append(s.j.Warnings, fmt.Sprintf("the clone is shallow: only %s could be scanned, and older ones were not; "+
			"run `git fetch --unshallow`, or set fetch-depth to 0 in CI", python.Count(result.commits, "commit")))
	}
	return result.leaks, nil
}

// runGitleaks scans a directory. Without an environment it gets the scope's, less what is git's.
func runGitleaks(ctx context.Context, scope engine.Scope, dir string, env, args []string) (scanned, error) {
	if env == nil {
		env = withoutGit(scope.Env, nil)
	}
	out, err := scope.Run(ctx, engine.Invocation{Program: "gitleaks", Args: args, Dir: dir, Env: env})
	if err != nil {
		return scanned{}, err
	}
	report, err := os.ReadFile(gitleaksReport(args))
	if err != nil {
		return scanned{}, gitleaksFailure(out)
	}
	out.Reports = map[string][]byte{secrets: report}
	return parseGitleaks(out)
}

const (
	rulesFile  = ".gitleaks.toml"
	ignoreFile = ".gitleaksignore"
)

// takeRules puts the project's own settings where gitleaks looks for them, tracked or not.
func takeRules(root, dir string) error {
	for _, name := range []string{rulesFile, ignoreFile} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			return fmt.Errorf("take over %s: %w", name, err)
		}
	}
	return nil
}

// settings says that the project's own settings let something through. An ignored fingerprint has no date.
func (s *secretScan) settings() {
	if _, err := os.Stat(filepath.Join(s.project.Root, rulesFile)); err == nil {
		s.j.Notes = append(s.j.Notes, "the project's own "+rulesFile+" is in force")
	}
	content, err := os.ReadFile(filepath.Join(s.project.Root, ignoreFile))
	if err != nil {
		return
	}
	entries := 0
	for line := range strings.SplitSeq(string(content), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			entries++
		}
	}
	if entries > 0 {
		s.j.Warnings = append(s.j.Warnings, fmt.Sprintf("%s lets %s through without a date: name them in pipeline.yaml instead",
			ignoreFile, python.Count(entries, "fingerprint")))
	}
}

var hasRules = regexp.MustCompile(`(?m)^\s*(\[\[\s*rules\s*\]\]|useDefault\s*=\s*true|path\s*=)`)

// checkRules refuses settings that replace gitleaks' rules by none: with these it finds nothing anywhere.
func checkRules(root string) error {
	content, err := os.ReadFile(filepath.Join(root, rulesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read settings of the secret scan: %w", err)
	}
	if !hasRules.Match(content) {
		return fmt.Errorf("%s has no rules, so nothing would be found: add `[extend]` with `useDefault = true`", rulesFile)
	}
	return nil
}
