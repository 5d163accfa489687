package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	// artifacts are kept for a month, so older runs have no reports any more.
	historyDays = 31
	// A job's token may ask a thousand times an hour, and each run takes about six questions.
	historyRuns = 150
	// Of these runs, one was of the same branch, or whether something recovered is not worth many more questions.
	recentRuns = 10
)

// importedDir, below the state directory, is where what the runs of CI have left is put.
const importedDir = "imported"

// CIHistory takes the reports that earlier runs of the pipeline have left as artifacts into the history of a machine that
// has none, and the deploys that they tell of. The newest coverage by file is kept beside it.
func CIHistory(ctx context.Context, s *Session) error { return s.fromArtifacts(ctx, historyRuns) }

func (s *Session) fromArtifacts(ctx context.Context, most int) error {
	client, err := forge.FromVariables(s.Host.Get)
	if err != nil {
		return &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	runs, more, err := client.Since(ctx, "pipeline.yml", s.Host.Now().AddDate(0, 0, -historyDays), most)
	if err != nil {
		return err
	}
	if more {
		s.say("only the newest %d runs are looked at", most)
	}
	dir := filepath.Join(s.State, importedDir)
	n, covered := 0, false
	for _, run := range runs {
		names := []string{reportName}
		if run.Event == "push" { // the author of a pull request could make up what was deployed
			names = append(names, history.DeploysName)
			if !covered {
				names = append(names, coverageName)
			}
		}
		files, err := client.Files(ctx, run, artifactsName, names...)
		if err != nil {
			return err
		}
		for i, file := range files {
			path := filepath.Join(dir, fmt.Sprintf("%d-%d", run.ID, i), file.Name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), wholefile.Write(path, file.Content, 0o644)); err != nil {
				return fmt.Errorf("keep report: %w", err)
			}
			if file.Name == reportName {
				n++
			}
			covered = covered || file.Name == coverageName
		}
	}
	s.say("%s reports of %s runs since %s were found", strconv.Itoa(n), strconv.Itoa(len(runs)), s.Host.Now().AddDate(0, 0, -historyDays).Format(time.DateOnly))
	if n == 0 {
		return nil
	}
	result, err := history.ImportDir(ctx, s.historyPath(), s.Project.Run.History, dir)
	for _, refused := range result.Refused {
		s.say("left out: %s", refused)
	}
	return err
}
