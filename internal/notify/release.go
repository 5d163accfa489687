package notify

import (
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/report"
)

// A State is how far a release is.
type State string

// States of a release.
const (
	Started    State = "started" // only records are made of it: nobody needs to read it
	Deployed   State = "deployed"
	Failed     State = "failed"      // what served before serves on, or nothing does
	RolledBack State = "rolled_back" // by itself, after it failed, or by hand
)

// A Release is what happens to one environment.
type Release struct {
	Environment string
	Name        string // of the release
	Commit      string // that it is made of
	State       State
	Previous    string // the release before it; after a rollback it serves again
	Reason      string // why it failed, or why it was rolled back
	Actor       string
	Images      []string // by digest
	URL         string   // of the environment; may be empty
	LogURL      string
	Duration    time.Duration
	Time        time.Time
	BreakGlass  string // the reason for which the gates were passed by; empty if they were not
}

// FromRelease is the message of a deploy or a rollback.
func FromRelease(r Release, o Origin) Message {
	c := cleaner{o.Mask}
	for _, s := range []*string{&r.Environment, &r.Name, &r.Previous, &r.Actor, &r.BreakGlass} {
		*s = c.line(*s, longestName)
	}
	r.Reason = c.line(r.Reason, longestValue)
	images := make([]string, 0, len(r.Images))
	for _, image := range r.Images[:min(len(r.Images), listedImages)] {
		images = append(images, c.line(image, longestName))
	}
	r.Images, r.Commit = images, c.line(r.Commit, longestName)
	r.URL, r.LogURL = webAddress(r.URL), webAddress(r.LogURL)
	if o.Change.Commit == "" {
		o.Change.Commit = r.Commit
	}
	m := o.message(c)
	if m.RunURL == "" {
		m.RunURL = r.LogURL
	}
	m.Event, m.Release, m.Finished = Deploy, &r, r.Time
	switch r.State {
	case Deployed:
		m.Icon, m.Title = "🚀", "Deploy Successful"
	case Failed:
		m.Icon, m.Title, m.Important = "❌", "Deploy Failed", true
	case RolledBack:
		m.Event, m.Icon, m.Title, m.Important = Rollback, "↩️", "Deploy Rolled Back", true
	default:
		m.Icon, m.Title = "▶️", "Deploy Started"
	}
	m.add("Environment", r.Environment)
	m.add("Release", r.Name)
	if r.State == RolledBack {
		m.add("Serves again", r.Previous)
	} else {
		m.add("In place of", r.Previous)
	}
	m.add("Reason", r.Reason)
	m.add("Gates passed by", r.BreakGlass)
	m.add("Images", c.line(strings.Join(r.Images, ", "), longestValue))
	m.add("Asked for by", r.Actor)
	if r.Duration > 0 {
		m.add("Duration", report.Duration(r.Duration))
	}
	if r.URL != "" {
		m.Facts = append(m.Facts, Fact{Label: "Address", Value: r.URL, URL: r.URL})
	}
	return m
}

// A Severity of an alert.
type Severity string

// Severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// An Alarm is an alert of what was deployed.
type Alarm struct {
	Severity    Severity
	Name        string // of the rule: HighErrorRate
	Summary     string
	Environment string
	Release     string
	Resolved    bool
	Time        time.Time
	URL         string
}

// FromAlarm is the message of an alert.
func FromAlarm(a Alarm, o Origin) Message {
	c := cleaner{o.Mask}
	m := o.message(c)
	m.Event, m.Icon, m.Title, m.Finished = Alert, "🔔", "Alert", a.Time
	switch {
	case a.Resolved:
		m.Icon, m.Title = "✅", "Alert Resolved"
	case a.Severity == Critical:
		m.Icon, m.Title, m.Important = "🚨", "Critical Alert", true
	case a.Severity == Warning:
		m.Icon, m.Title, m.Important = "⚠️", "Warning", true
	}
	m.add("Severity", c.line(string(a.Severity), longestName))
	m.add("Alert", c.line(a.Name, longestName))
	m.add("Summary", c.line(a.Summary, longestValue))
	m.add("Environment", c.line(a.Environment, longestName))
	m.add("Release", c.line(a.Release, longestName))
	if address := webAddress(a.URL); address != "" {
		m.Facts = append(m.Facts, Fact{Label: "Details", Value: address, URL: address})
	}
	return m
}
