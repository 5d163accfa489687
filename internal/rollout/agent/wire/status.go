package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A Status is status.json: what is true now, as the agent that leads sees it. It is replaced as a whole at each change,
// each second during a roll-out, and every few seconds else: a Written that is long ago says that no agent leads.
type Status struct {
	Schema      int       `json:"schema"`
	Written     time.Time `json:"written"`
	Environment string    `json:"environment"`
	Project     string    `json:"project"` // of Compose
	Version     string    `json:"version"` // of the agent
	Activity    Activity  `json:"activity"`
	Trouble     string    `json:"trouble,omitempty"` // why nothing can be observed or done now
	Lease       Lease     `json:"lease"`

	Roll     *Roll                 `json:"roll,omitempty"` // under way
	Current  *rollout.Revision     `json:"current,omitempty"`
	Previous []string              `json:"previous,omitempty"` // releases that can be rolled back to, the newest first
	Last     *rollout.Ending       `json:"last,omitempty"`
	Slots    map[rollout.Slot]Slot `json:"slots,omitempty"`
	Services map[string]Service    `json:"services,omitempty"`
	Schemas  string                `json:"database_schema,omitempty"`
	Waiting  []string              `json:"waiting,omitempty"` // IDs of orders
	Alerts   []Alert               `json:"alerts,omitempty"`  // the last few, the newest last
	Audit    journal.Anchor        `json:"audit"`
	Observed time.Time             `json:"observed,omitzero"` // when slots and services were seen so
}

// An Activity is what the leading agent does.
type Activity string

// Activities.
const (
	Idle     Activity = "idle"
	Rolling  Activity = "rolling"
	Starting Activity = "starting"
	Stopped  Activity = "stopped" // it gave the lease back
)

// A Lease says who leads.
type Lease struct {
	Holder  string    `json:"holder"`
	Epoch   uint64    `json:"epoch"`
	Expires time.Time `json:"expires,omitzero"`
}

// A Roll is the roll-out under way.
type Roll struct {
	ID       string        `json:"id"`
	Order    string        `json:"order,omitempty"`
	Kind     rollout.Kind  `json:"kind"`
	Actor    string        `json:"actor"`
	Reason   string        `json:"reason,omitempty"`
	Began    time.Time     `json:"began"`
	Target   string        `json:"target,omitempty"` // release; empty: back to nothing
	From     string        `json:"from,omitempty"`
	Slot     rollout.Slot  `json:"slot,omitempty"` // of the target
	Phase    rollout.Phase `json:"phase"`
	Since    time.Time     `json:"since"` // the phase began
	Step     int           `json:"step"`  // index of the weight, from 0
	Weights  []int         `json:"weights,omitempty"`
	Paused   bool          `json:"paused,omitempty"`
	Window   *Window       `json:"window,omitempty"`   // that is open
	Decision *Decision     `json:"decision,omitempty"` // the last
	Doing    string        `json:"doing,omitempty"`    // the side effect whose intent is written and whose result is not
}

// A Window is one weight's.
type Window struct {
	Weight    int       `json:"weight"`
	Began     time.Time `json:"began"`
	Ends      time.Time `json:"ends"`
	Deadline  time.Time `json:"deadline"`
	Synthetic int64     `json:"synthetic,omitempty"` // requests that the agent added
	Failed    int64     `json:"synthetic_failed,omitempty"`
}

// A Decision is the judge's, with the line for people that the audit log has, too.
type Decision struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
	judge.Decision
}

// A Slot is what runs in one, and what it did lately.
type Slot struct {
	Release  string   `json:"release,omitempty"`
	Digest   string   `json:"digest,omitempty"`
	Healthy  bool     `json:"healthy"`
	Reason   string   `json:"reason,omitempty"` // why not
	Restarts int      `json:"restarts,omitempty"`
	Weight   int      `json:"weight"`
	Sessions int      `json:"sessions"`
	Traffic  *Traffic `json:"traffic,omitempty"` // nil: not known
}

// Traffic is what a slot did between two times. Latencies are seconds.
type Traffic struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`
	Rate     float64   `json:"rate"`       // requests a second
	Failing  float64   `json:"error_rate"` // share of them
	P50      float64   `json:"p50"`
	P95      float64   `json:"p95"`
	P99      float64   `json:"p99"`
}

// A Service runs once.
type Service struct {
	Image   string `json:"image,omitempty"`
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// A Severity of an alert.
type Severity string

// Severities.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// An Alert is one line of alerts.jsonl.
type Alert struct {
	ID       string    `json:"id"` // the same trouble of the same roll-out has the same
	Time     time.Time `json:"time"`
	Severity Severity  `json:"severity"`
	Name     string    `json:"name"` // RolledBack, BreakGlass, …
	Summary  string    `json:"summary"`
	Release  string    `json:"release,omitempty"`
}

// DecodeStatus reads a status.
func DecodeStatus(r io.Reader) (Status, error) {
	var s Status
	content, err := read(r, 1<<20)
	if err == nil {
		err = decode(content, &s)
	}
	if err == nil && s.Schema != Schema {
		err = fmt.Errorf("schema %d, not %d: deployer and agent are of different versions", s.Schema, Schema)
	}
	if err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// An Event is one line of a watch. Exactly one of its fields is set.
type Event struct {
	Status *Status `json:"status,omitempty"`
	Entry  *Entry  `json:"entry,omitempty"`
	Alert  *Alert  `json:"alert,omitempty"`
	Result *Result `json:"result,omitempty"` // the last line
}

// An Entry is one of the audit log.
type Entry struct {
	Sequence uint64          `json:"seq"`
	Time     time.Time       `json:"time"`
	Epoch    uint64          `json:"epoch"`
	Actor    string          `json:"actor"`
	Release  string          `json:"release,omitempty"`
	Action   string          `json:"action"`
	Kind     journal.Kind    `json:"kind"`
	Message  string          `json:"message,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// A Deployment is one line of the history: a roll-out from its beginning to its end.
type Deployment struct {
	Roll       string       `json:"roll"`
	Order      string       `json:"order,omitempty"`
	Kind       rollout.Kind `json:"kind"`
	Release    string       `json:"release"` // where it was to go
	From       string       `json:"from,omitempty"`
	Actor      string       `json:"actor"`
	Reason     string       `json:"reason,omitempty"`
	Commit     time.Time    `json:"committed,omitzero"`
	Began      time.Time    `json:"began"`
	Ended      time.Time    `json:"ended,omitzero"` // zero: under way
	Seconds    float64      `json:"seconds,omitempty"`
	State      State        `json:"state,omitempty"` // done or rolled back; empty: under way
	Failure    string       `json:"failure,omitempty"`
	Failed     time.Time    `json:"failed,omitzero"` // when it turned back
	Gate       string       `json:"gate,omitempty"`
	BrokeGlass bool         `json:"broke_glass,omitempty"`
	Phases     []PhaseTime  `json:"phases,omitempty"`
	Takeovers  int          `json:"takeovers,omitempty"` // agents that went on with it
}

// A PhaseTime is how long a phase of a deployment took.
type PhaseTime struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}
