package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report/dashboard"
	"github.com/meter-ml/meter-pipeline/internal/report/maintenance"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// reportsDir is where pages about many runs go, below the state directory.
const reportsDir = "reports"

func (s *Session) historyPath() string { return filepath.Join(s.State, historyFile) }

// ReportImport takes the runs of CI into the history: a directory of artifacts, or an archive of them.
func ReportImport(source string) Action {
	return func(ctx context.Context, s *Session) error {
		path := source
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Host.Dir, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("there is nothing at %s: name the directory or the .zip of the artifacts", source)}
		}
		take := history.ImportZip
		if info.IsDir() {
			take = history.ImportDir
		}
		result, err := take(ctx, s.historyPath(), s.Project.Run.History, path)
		if err != nil {
			return err
		}
		for _, refused := range result.Refused {
			s.say("left out: %s", refused)
		}
		if err := s.print(fmt.Sprintf("%d reports: %d runs are new, %d were known, %d are none; %d deploys are new\n", result.Found, result.Added, result.Known, len(result.Refused), result.Deploys)); err != nil {
			return err
		}
		if result.Added+result.Known == 0 {
			return &Exit{Code: engine.ExitError, Message: "none of the reports could be read"}
		}
		return nil
	}
}

// ReportDashboard draws the history into one page.
func ReportDashboard(out string) Action {
	return func(_ context.Context, s *Session) error {
		records, err := history.Read(s.historyPath())
		if err != nil {
			return err
		}
		var page bytes.Buffer
		err = dashboard.Render(&page, records, dashboard.Options{
			Name: s.Project.Name, Now: s.Host.Now(), Budgets: s.budgets(), Quarantine: s.Project.Unit.Quarantine, Allow: s.Project.Security.Allow,
		})
		if err != nil {
			return fmt.Errorf("draw dashboard: %w", err)
		}
		path := filepath.Join(s.State, reportsDir, "dashboard.html")
		if out != "" {
			if path = out; !filepath.IsAbs(path) {
				path = filepath.Join(s.Host.Dir, path)
			}
		}
		if err := s.put(path, page.Bytes()); err != nil {
			return err
		}
		s.say("%d runs and %d deploys", len(records.Runs), len(records.Deploys))
		return s.print(s.nearHere(path) + "\n")
	}
}

func (s *Session) nearHere(path string) string {
	if near, err := filepath.Rel(s.Host.Dir, path); err == nil && filepath.IsLocal(near) {
		return near
	}
	return path
}

func (s *Session) put(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return wholefile.Write(path, content, 0o644)
}

// ReportWeekly writes a maintenance report. Like the others it judges nothing: what it asks for is in it, and only what
// keeps it from being written is an error.
func ReportWeekly(ctx context.Context, s *Session) error {
	facts, err := s.facts()
	if err != nil {
		return err
	}
	return s.publish(ctx, maintenance.Weekly(facts))
}

// ReportMonthly asks the package indexes, too.
func ReportMonthly(ctx context.Context, s *Session) error {
	facts, err := s.facts()
	if err != nil {
		return err
	}
	facts.Python, facts.Go, facts.Coverage = s.outdatedPython(ctx), s.outdatedGo(ctx), s.leastCovered()
	return s.publish(ctx, maintenance.Monthly(facts))
}

// ReportQuarterly runs the security stage first, so that the audit is of today.
func ReportQuarterly(ctx context.Context, s *Session) error {
	audit := s.Judge(ctx, Request{Target: "security", Stages: Check(), Only: "security"})
	if exit, ok := errors.AsType[*Exit](audit); audit != nil && (!ok || exit.Code == engine.ExitUsage || exit.Code == engine.ExitInterrupted) {
		return audit // a failed audit is what the report is about
	}
	facts, err := s.facts()
	if err != nil {
		return err
	}
	facts.Baseline = s.baselines()
	return s.publish(ctx, maintenance.Quarterly(facts))
}

func (s *Session) facts() (maintenance.Facts, error) {
	records, err := history.Read(s.historyPath())
	return maintenance.Facts{Project: s.Project, Records: records, Budgets: s.budgets(), Now: s.Host.Now()}, err
}

// publish writes both forms, and tells a workflow where they are and what an issue with them is to be called.
func (s *Session) publish(_ context.Context, r maintenance.Report) error {
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		return fmt.Errorf("write %s report: %w", r.Kind, err)
	}
	name := filepath.Join(s.State, reportsDir, r.Kind+"-"+s.Host.Now().UTC().Format(time.DateOnly))
	if err := errors.Join(s.put(name+".md", []byte(r.Markdown())), s.put(name+".html", page.Bytes())); err != nil {
		return err
	}
	text := fmt.Sprintf("title=%s\nmarkdown=%s\nhtml=%s\n", r.Title, s.nearHere(name+".md"), s.nearHere(name+".html"))
	if err := s.print(text); err != nil {
		return err
	}
	outputs := s.Host.Get("GITHUB_OUTPUT")
	if outputs == "" {
		return nil
	}
	file, err := os.OpenFile(outputs, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write outputs of the step: %w", err)
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
