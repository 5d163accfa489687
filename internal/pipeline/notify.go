package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	stage "github.com/meter-ml/meter-pipeline/internal/stage/notify"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// Tell has the channels told of a run that is over. What can't be delivered is said, and fails nothing.
func (s *Session) Tell(ctx context.Context, run *engine.Run) {
	if run.Interrupted {
		s.say("notify: nobody is told, since the run was interrupted: whoever stopped it knows")
		return
	}
	o := s.newsOrigin(ctx, run.Commit, run.Branch)
	o.Images = imagesOf(run)
	o.Before = s.before(run)
	s.announce(ctx, notify.FromRun(run, o))
}

// TellRelease has the channels told of a release: that it begins, as GitHub records it, and how it ended.
func (s *Session) TellRelease(ctx context.Context, r notify.Release) {
	s.announce(ctx, notify.FromRelease(r, s.newsOrigin(ctx, r.Commit, "")))
}

// TellAlarm has the channels told of an alert.
func (s *Session) TellAlarm(ctx context.Context, a notify.Alarm) {
	s.announce(ctx, notify.FromAlarm(a, s.newsOrigin(ctx, "", "")))
}

func (s *Session) announce(ctx context.Context, m notify.Message) {
	if _, err := s.deliver(ctx, s.places(), m); err != nil {
		s.say("notify: nobody was told: %v", err)
	}
}

// deliver runs stage 10, on a record of its own below the run's, and says what became of each channel.
func (s *Session) deliver(ctx context.Context, places []notify.Place, messages ...notify.Message) (*engine.Run, error) {
	plan, err := engine.NewPlan(s.Project, []engine.Stage{stage.New(places, messages...)})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.runDir(), 0o755); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	dir, err := os.MkdirTemp(s.runDir(), stage.Name+"-")
	if err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	return engine.Execute(ctx, plan, engine.Options{
		Target: stage.Name, Root: s.Host.Dir, Dir: dir, ID: s.ID, Limit: max(1, len(places)), Grace: time.Second,
		Deadline: s.Project.Notify.Timeout.Std() * time.Duration(max(1, len(messages))),
		Runner:   s.Runner, Reporters: []engine.Reporter{deliveries{s}}, Secrets: s.channelSecrets(), Now: s.Host.Now,
	})
}

// deliveries says what became of each channel, in a line each. It is no report: the run that is told of has its own.
type deliveries struct{ *Session }

// Event implements engine.Reporter.
func (d deliveries) Event(e engine.Event) error {
	if e.Kind != engine.EventStepFinished {
		return nil
	}
	what := "told"
	switch r := e.Result; r.Status {
	case engine.StatusPassed:
		what += ": " + strings.Join(r.Judgement.Notes, "; ")
	case engine.StatusSkipped:
		what = "not told: " + r.Reason
	default:
		what = "WARNING: not told: " + r.Reason
	}
	// A server's own words may be quoted, which must not become a command of GitHub's runner.
	d.say("notify:%s: %s", e.Result.Name, strings.ReplaceAll(plain.Line(what), "##[", "## ["))
	return nil
}

// newsOrigin is what is known of where an event comes from. Git and CI may know nothing.
func (s *Session) newsOrigin(ctx context.Context, commit, branch string) notify.Origin {
	env := unsigning(s.Host.Env)
	if commit == "" {
		commit = worktree.Look(ctx, s.Runner, s.Host.Dir, env).Commit
	}
	ci := worktree.CIFrom(s.Host.Get)
	o := notify.Origin{
		Project: s.Project.Name, Repository: s.repositoryURL(), Pull: ci.Pull(), Version: ci.Tag(), Mask: plain.NewMask(s.channelSecrets()...),
		Change: notify.Change{
			Commit: commit, Branch: cmp.Or(ci.Branch(), ci.HeadRef, branch), Actor: s.Host.Get("GITHUB_ACTOR"),
			Author:  worktree.Author(ctx, s.Runner, s.Host.Dir, env, worktree.State{Commit: commit}),
			Subject: worktree.Subject(ctx, s.Runner, s.Host.Dir, env, commit),
		},
	}
	o.RunURL = s.origin(ctx, env, worktree.State{Commit: commit}).URL
	if o.Pull != "" {
		// What a pull request's run judges is a merge that nobody looks at; GitHub shows statuses of its head.
		o.Change.Commit = cmp.Or(pullHead(s.Host.Get("GITHUB_EVENT_PATH")), commit)
	}
	return o
}

// repositoryURL is where the repository's pages are; empty if nothing says so.
func (s *Session) repositoryURL() string {
	server, repository := s.Host.Get("GITHUB_SERVER_URL"), s.Host.Get("GITHUB_REPOSITORY")
	if server != "" && repository != "" {
		return server + "/" + repository
	}
	return strings.TrimSuffix(s.Project.Image.Source, ".git")
}
