package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

const (
	newsName    = "news.json" // in a run's directory
	newsSchema  = 1
	longestNews = 4 << 20 // bytes

	attemptVariable = "GITHUB_RUN_ATTEMPT" // counts how often a run of the workflow was started anew
)

// news is what came about on an environment. A job that deploys has no channel and may write no record, so it hands its
// news on with its run directory, to the job that tells.
type news struct {
	Schema   int
	Attempt  string // at the workflow's run
	Releases []notify.Release
	Alarms   []notify.Alarm
}

// spread tells the news, or hands it on where another job is to tell.
func (s *Session) spread(ctx context.Context, n news) error {
	if len(n.Releases) == 0 && len(n.Alarms) == 0 {
		return nil
	}
	deaf := !slices.ContainsFunc(s.places(), func(p notify.Place) bool { return p.Skip == "" })
	if !deaf || !s.Host.onGitHub() {
		s.tellNews(ctx, n)
		return nil
	}
	n.Schema, n.Attempt = newsSchema, s.Host.Get(attemptVariable)
	content, err := json.MarshalIndent(n, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(s.runDir(), 0o755), wholefile.Write(filepath.Join(s.runDir(), newsName), append(content, '\n'), 0o644))
	}
	if err != nil {
		return fmt.Errorf("hand on news: %w", err)
	}
	s.say("notify: this job has no channel; what came about is handed on to the one that tells (notify:reports)")
	return nil
}

func (s *Session) tellNews(ctx context.Context, n news) {
	for _, release := range n.Releases {
		s.TellRelease(ctx, release)
	}
	for _, alarm := range n.Alarms {
		s.TellAlarm(ctx, alarm)
	}
}

// tellHandedOn tells what jobs before this one have handed on. The author of a pull request could make it up, and deploys
// nothing. Of a run that was started anew, the jobs of earlier attempts left theirs, too.
func (s *Session) tellHandedOn(ctx context.Context, runs []*engine.Run) {
	if worktree.CIFrom(s.Host.Get).Pull() != "" {
		return
	}
	var all news
	for _, run := range runs {
		found, err := readNews(filepath.Join(run.Dir, newsName))
		if err != nil {
			s.say("notify: nobody is told what run %s deployed: %v", run.ID, err)
			continue
		}
		if mine := s.Host.Get(attemptVariable); found.Attempt != "" && mine != "" && found.Attempt != mine {
			s.say("notify: what run %s deployed is not told again: that was for attempt %s to do", run.ID, plain.Line(found.Attempt))
			continue
		}
		all.Releases, all.Alarms = append(all.Releases, found.Releases...), append(all.Alarms, found.Alarms...)
	}
	slices.SortStableFunc(all.Releases, func(a, b notify.Release) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name)) })
	s.tellNews(ctx, all)
}

// readNews reads a file; there is none where nothing was deployed.
func readNews(path string) (n news, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return news{}, nil
	}
	if err != nil {
		return news{}, err
	}
	defer func() { _ = file.Close() }()
	if err := json.NewDecoder(io.LimitReader(file, longestNews)).Decode(&n); err != nil {
		return news{}, fmt.Errorf("it holds no news: %w", err)
	}
	if n.Schema != newsSchema {
		return news{}, fmt.Errorf("its schema is %d, and this program reads %d", n.Schema, newsSchema)
	}
	return n, nil
}
