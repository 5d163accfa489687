package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/gather"
)

// jobsVariable holds what CI says of the jobs before this one, as GitHub's `toJSON(needs)` gives it.
const jobsVariable = "PIPELINE_JOBS"

// NotifyReports has the channels told of the runs whose reports are below a directory, as of one, and of what they deployed. A report that can't be
// read is a mistake of whoever calls it; that something can't be delivered fails nothing.
func NotifyReports(dir string) Action {
	return func(ctx context.Context, s *Session) error {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.Host.Dir, dir)
		}
		jobs, err := gather.ReadJobs(s.Host.Get(jobsVariable))
		if err != nil {
			return &Exit{Code: engine.ExitUsage, Message: jobsVariable + ": " + err.Error()}
		}
		runs, err := gather.Reports(ctx, dir)
		// Where no job came as far as a report there is no directory, and somebody must be told all the more.
		if err != nil && (len(jobs) == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return &Exit{Code: engine.ExitUsage, Message: err.Error()}
		}
		whole, err := gather.Whole(runs, jobs)
		if err != nil {
			return &Exit{Code: engine.ExitUsage, Message: err.Error()}
		}
		if len(runs) == 0 && whole.Status == engine.StatusSkipped {
			s.say("notify: nobody is told, since no job judged anything")
			return nil
		}
		if whole.Started.IsZero() { // no job came as far as a report
			whole.Started = s.Host.Now()
		}
		if s.Host.onGitHub() { // a machine without a history of its own
			if err := s.fromArtifacts(ctx, recentRuns); err != nil {
				s.say("notify: whether this is a recovery is not known: %v", err)
			}
		}
		o := s.newsOrigin(ctx, whole.Commit, whole.Branch)
		o.Before = s.before(runs...)
		for _, run := range runs {
			if images := imagesOf(run); len(images) > 0 {
				o.Images = images // the newest: of what was built twice, that is what counts
			}
		}
		s.announce(ctx, notify.FromRun(whole, o))
		s.tellHandedOn(ctx, runs)
		return nil
	}
}
