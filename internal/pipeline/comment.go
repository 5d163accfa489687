package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/report/markdown"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

// CIComment tells a pull request in one comment what the jobs before this one found, beside the numbers of its base branch.
// It judges nothing: that something is missing is what it says.
func CIComment(ctx context.Context, s *Session) error {
	pull, err := pullRequest(s.Host.Get)
	if err != nil {
		return &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	client, err := forge.FromVariables(s.Host.Get)
	if err != nil {
		return &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	reports, err := reportsBelow(filepath.Join(s.State, "runs"))
	if err != nil {
		return err
	}
	c := markdown.Comment{Targets: targets(), URL: s.runURL()}
	if c.Here, err = markdown.Tell(reports); err != nil {
		return err
	}
	if c.Base, c.Branch, err = base(ctx, client, s.Host.Get("GITHUB_BASE_REF")); err != nil {
		c.Why = err.Error()
		s.say("warning: nothing to compare with: %v", err)
	}
	did, err := client.Upsert(ctx, pull, markdown.CommentMark, c.Render())
	if err != nil {
		return fmt.Errorf("comment pull request %d: %w", pull, err)
	}
	s.say("the comment of pull request %d was %s", pull, did)
	return nil
}

// pullRequest reads the number out of what GitHub says of the event: refs/pull/7/merge.
func pullRequest(get func(string) string) (int, error) {
	number, ok := strings.CutPrefix(get("GITHUB_REF"), "refs/pull/")
	number, _, _ = strings.Cut(number, "/")
	pull, err := strconv.Atoi(number)
	if !ok || err != nil || pull < 1 || get("GITHUB_EVENT_NAME") != "pull_request" {
		return 0, fmt.Errorf("this is the run of no pull request: GITHUB_EVENT_NAME is %q and GITHUB_REF is %q", get("GITHUB_EVENT_NAME"), get("GITHUB_REF"))
	}
	return pull, nil
}

// targets are those that every pull request must have been judged by.
func targets() []string {
	graph := workflow.Pipeline()
	var all []string
	for _, id := range workflow.Required(graph) {
		for _, job := range graph.Jobs {
			if job.ID == id {
				all = append(all, job.Target)
			}
		}
	}
	return all
}

const (
	reportName    = "report.json"
	artifactsName = "run-" // how the names of run directories begin as artifacts
)

// reportsBelow reads what the jobs before this one have handed on. None is no mistake: then nothing was judged.
func reportsBelow(runs string) ([][]byte, error) {
	entries, err := os.ReadDir(runs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	var reports [][]byte
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(runs, entry.Name(), reportName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		reports = append(reports, content)
	}
	return reports, nil
}

// base is what the newest push of the base branch that passed was told.
func base(ctx context.Context, client *forge.Client, branch string) (map[string]markdown.Told, string, error) {
	if branch == "" {
		return nil, "", errors.New("GITHUB_BASE_REF names no base branch")
	}
	past, err := client.Newest(ctx, "pipeline.yml", branch)
	if errors.Is(err, forge.ErrNotFound) {
		return nil, "", fmt.Errorf("no push of %s has passed yet", branch)
	}
	if err != nil {
		return nil, "", err
	}
	files, err := client.Files(ctx, past, artifactsName, reportName)
	if err != nil {
		return nil, "", err
	}
	reports := make([][]byte, 0, len(files))
	for _, file := range files {
		reports = append(reports, file.Content)
	}
	if len(reports) == 0 {
		return nil, "", fmt.Errorf("the reports of %s have expired", branch)
	}
	told, err := markdown.Tell(reports)
	return told, fmt.Sprintf("%s at %.10s", branch, past.Commit), err
}

// runURL is the page of the run that this job is part of.
func (s *Session) runURL() string {
	server, repository, run := s.Host.Get("GITHUB_SERVER_URL"), s.Host.Get("GITHUB_REPOSITORY"), s.Host.Get("GITHUB_RUN_ID")
	if server == "" || repository == "" || run == "" {
		return ""
	}
	return server + "/" + repository + "/actions/runs/" + run
}
