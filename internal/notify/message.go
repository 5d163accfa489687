// Package notify says what a run, a release or an alert came to: one Message, made once, which the packages below it say
// in the words of their channel: slack, mail, github.
//
// It stands beside the reports, above the engine. A Message holds no text that could steer a terminal, break a line or
// show a secret, whatever a branch, a test or a tool is called; each channel then takes care of what is special to it.
package notify

import (
	"context"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// An Event is what a message is about. pipeline.yaml says which of them each channel is told.
type Event string

// Events.
const (
	Success  Event = "success"
	Failure  Event = "failure"
	Recovery Event = "recovery" // the first success after a failure on that branch
	Deploy   Event = "deploy"
	Rollback Event = "rollback"
	Alert    Event = "alert"
)

// A Message is what is said. Its title and the labels of its facts are this program's own words; everything else is of
// foreign origin, plain, on one line unless said otherwise, and free of secrets.
type Message struct {
	Event     Event
	Icon      string // ✅
	Title     string // CI/CD Pipeline Successful
	Project   string
	Facts     []Fact // in the order in which they are read
	Failures  []Blame
	Unlisted  int // failures that are too many to be listed
	Change    Change
	Branch    string // that the event belongs to; empty for a pull request, whose author chose its name
	Pull      string // number of the pull request
	RunID     string
	RunURL    string // where the whole run can be read
	Stages    []Outcome
	Release   *Release
	Dirty     bool // the commit is not all that was judged
	Finished  time.Time
	Important bool // somebody must act
}

// A Fact is one line: Tests: 95/95 passed.
type Fact struct {
	Label string
	Value string
	URL   string // may be empty
}

// A Blame is one step that failed, or that could not be judged.
type Blame struct {
	Stage  string // as the documentation calls it: Unit Tests
	Step   string // unit:pytest
	Status engine.Status
	Error  string // of several lines at the most
	Log    string // where to read on: a path, or the name of the page
	LogURL string
	Rerun  string // the command that judges just this
}

// A Change is the commit that the event is about.
type Change struct {
	Commit  string // 40 or 64 hexadecimal digits
	URL     string
	Branch  string // as it is shown, also of a pull request
	Author  string
	Subject string // the first line of the commit message
	Actor   string // who started the run, where that is known
}

// Short is the commit as people write it.
func (c Change) Short() string { return c.Commit[:min(len(c.Commit), 10)] }

// An Outcome is what became of one stage.
type Outcome struct {
	Stage       string // unit
	Status      engine.Status
	Description string
}

// A Channel says messages in one place. Send returns what was sent, for the record: "1 message". What it could not send
// is an error that holds no secret. It must end with ctx; what it does meanwhile, such as a second try, it says.
type Channel interface {
	Send(ctx context.Context, m Message, say func(format string, args ...any)) (string, error)
	// Preview is what would be sent, for a person to look at.
	Preview(m Message) (string, error)
}

// A Picky channel has no place for some messages: Unfit is the reason, empty if there is none. That is no failure.
type Picky interface {
	Unfit(m Message) string
}

// A Place is a channel by its name, or why there is none.
type Place struct {
	Name    string // slack, mail, github: of the step, and in pipeline.yaml
	Channel Channel
	Skip    string // why it is not configured
	Err     error  // why it can't be used although it is
}

// An Origin is what is known of where an event comes from, beside the event itself.
type Origin struct {
	Project    string
	Repository string // address of the repository's pages; may be empty
	RunURL     string // of the run in CI; may be empty
	Pull       string
	Change     Change
	Version    string   // that the commit was tagged with, if the run is about that
	Images     []string // that were built or pushed, with their digests or tags
	Before     *Before
	Mask       *plain.Mask
}

// A Before is the last run of the same target on the same branch.
type Before struct {
	Status engine.Status
	Commit string
	Time   time.Time
}

// cleaner makes foreign text harmless.
type cleaner struct{ mask *plain.Mask }

func (c cleaner) line(s string, most int) string {
	return Cut(c.mask.String(report.Line(s)), most)
}

func (c cleaner) text(s string, most int) string {
	return Cut(c.mask.String(report.Text(s)), most)
}

// Cut shortens text to that many characters, and shows that it did.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:max(most-1, 0)]) + "…"
}
