package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

// A Trial does something to a site, and says what came of it. An error says why it did not pass: that something was
// not as it should be, or could not be found out.
type Trial struct {
	Part, Name string
	Run        func(ctx context.Context, l *Lab, r *Report) error
}

// ID is how a person names it.
func (t Trial) ID() string { return t.Part + "/" + t.Name }

// A Report is what a trial shows.
type Report struct {
	outcome string
	figures []record.Figure
	events  []record.Event
}

// say sets the outcome, in one line.
func (r *Report) say(format string, args ...any) { r.outcome = fmt.Sprintf(format, args...) }

func (r *Report) figure(name string, value float64, unit string) {
	r.figures = append(r.figures, record.Figure{Name: name, Value: value, Unit: unit})
}

// milliseconds and seconds are figures of times.
func (r *Report) milliseconds(name string, d time.Duration) {
	r.figure(name, float64(d.Microseconds())/1000, "ms")
}

func (r *Report) seconds(name string, d time.Duration) {
	r.figure(name, float64(d.Milliseconds())/1000, "s")
}

// limit is how long a trial may take.
const limit = 30 * time.Minute

// Do runs a trial and makes a record of it.
func (l *Lab) Do(ctx context.Context, t Trial, tree string) record.Trial {
	r := &Report{}
	done := record.Trial{Part: t.Part, Name: t.Name, Tree: tree, Machine: l.describe(ctx), Began: time.Now().UTC()}
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	err := t.Run(limited, l, r)
	cancel()
	done.Seconds = float64(time.Since(done.Began).Milliseconds()) / 1000
	done.Outcome, done.Figures, done.Events = r.outcome, r.figures, r.events
	if err != nil {
		done.Problem = err.Error()
	}
	return done
}
