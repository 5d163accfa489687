// Package notifytest is what the tests of the channels have in common: messages that hold everything a message can hold,
// text that attacks whoever shows it, and servers that fail in every way. It is imported by tests only.
package notifytest

import (
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

// Commit is a commit's name.
const Commit = "9a5a1da5b46ccc7a00c213f6ffa1fa22a0583762"

// Origin is a push on a branch of a repository on GitHub.
func Origin() notify.Origin {
	return notify.Origin{
		Project: "meter", Repository: "https://github.com/meter-ml/meter-pipeline",
		RunURL: "https://github.com/meter-ml/meter-pipeline/actions/runs/7/attempts/1",
		Change: notify.Change{Commit: Commit, Branch: "develop", Author: "Ada Lovelace", Subject: "Use reactive power", Actor: "ada"},
		Images: []string{"ghcr.io/meter-ml/model-api:develop-latest@sha256:0123456789ab…"},
	}
}

// Messages are all kinds of them, by name.
func Messages() map[string]notify.Message {
	o := Origin()
	red := o
	red.Before = &notify.Before{Status: engine.StatusFailed, Commit: strings.Repeat("ab", 20), Time: reporttest.Start().Add(-time.Hour)}
	clean := func(run *engine.Run) *engine.Run {
		run.Dirty = false
		return run
	}
	release := notify.Release{
		Environment: "production", Name: "20261123-1", Commit: Commit, State: notify.Started, Actor: "ada", Time: reporttest.Start(),
		Images: []string{"ghcr.io/meter-ml/model-api@sha256:0123"}, URL: "https://meter.example.org",
	}
	state := func(s notify.State, reason, previous string) notify.Release {
		r := release
		r.State, r.Reason, r.Previous, r.Duration = s, reason, previous, 4*time.Minute
		return r
	}
	alarm := notify.Alarm{
		Severity: notify.Critical, Name: "HighErrorRate", Summary: "3.1 % of the answers are errors", Environment: "production",
		Release: "20261123-1", Time: reporttest.Start(), URL: "https://meter.example.org/alerts",
	}
	resolved := alarm
	resolved.Resolved = true
	return map[string]notify.Message{
		"success":     notify.FromRun(clean(reporttest.Passed("/run")), o),
		"failure":     notify.FromRun(clean(reporttest.Run("/run")), o),
		"local":       notify.FromRun(reporttest.Run("/run"), notify.Origin{Project: "meter"}),
		"recovery":    notify.FromRun(clean(reporttest.Passed("/run")), red),
		"many":        notify.FromRun(Many(), o),
		"started":     notify.FromRelease(release, o),
		"deployed":    notify.FromRelease(state(notify.Deployed, "", ""), o),
		"failed":      notify.FromRelease(state(notify.Failed, "green did not become ready", ""), o),
		"rolled_back": notify.FromRelease(state(notify.RolledBack, "errors rose to 3.1 %", "20261122-4"), o),
		"alert":       notify.FromAlarm(alarm, o),
		"resolved":    notify.FromAlarm(resolved, o),
	}
}

// Many is a run in which forty stages failed, each with a reason as long as a log.
func Many() *engine.Run {
	run := &engine.Run{ID: "20261123-142501-3f9c", Target: "pipeline", Started: reporttest.Start(), Status: engine.StatusFailed, ExitCode: 1, Commit: Commit}
	for i := range 40 {
		name := "stage" + strings.Repeat("x", i)
		run.Problems = append(run.Problems, strings.Repeat("problem ", 200))
		run.Stages = append(run.Stages, engine.StageResult{Name: name, Status: engine.StatusFailed, Steps: []engine.StepResult{{
			Stage: name, Name: "step", Status: engine.StatusFailed, Reason: strings.Repeat("größer 日本 & <b> ", 500), Log: "logs/x", Rerun: "mage " + strings.Repeat("y", 500),
		}}})
	}
	return run
}

// An Attack is text that somebody else chose, and what must not be found, as it is, in what a channel is sent.
type Attack struct{ Name, Text string }

// Attacks are texts for branches, commit messages, names of tests and the words of tools.
func Attacks() []Attack {
	return []Attack{
		{"terminal", reporttest.Hostile},
		{"colour and title", "\x1b[31mred\x1b[0m\x1b]0;owned\x07"},
		{"C1 controls", "a\u009b31mb\u009d0;t\u009cc"},
		{"bidirectional", "user\u202egnp.exe"},
		{"everybody in the channel", "<!channel> wake up"},
		{"everybody here, in words", "@here and @channel and @everyone"},
		{"a person", "<@U024BE7LH> look"},
		{"a group", "<!subteam^SAZ94GDB8> look"},
		{"a link that lies", "<https://evil.example/|https://github.com/login>"},
		{"link of Markdown", "[click](https://evil.example/)"},
		{"emphasis and code", "*bold* _it_ ~no~ `code` ```block```"},
		{"emoji", ":fire: :skull:"},
		{"script", "<script>alert(1)</script><img src=x onerror=alert(1)>"},
		{"attribute", `" onmouseover="alert(1)" x="`},
		{"entities", "&lt;b&gt; &#x3c;script&#x3e;"},
		{"header", "x\r\nBcc: victim@example.org\r\n\r\nbody"},
		{"header, by other line ends", "x\u2028Bcc: victim@example.org\u0085Cc: a@example.org\vTo: b@example.org"},
		{"encoded header", "=?utf-8?q?Bcc:_victim=40example.org?="},
		{"end of mail", "x\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"},
		{"end of JSON", `"},{"type":"rich_text_section","elements":[{"type":"broadcast","range":"channel"}]}`},
		{"workflow command", "::set-output name=x::y\n##[error]z ::add-mask::a"},
		{"template", "{{.Message.Change}} ${GITHUB_TOKEN} $(id)"},
		{"nothing to see", "\u200b\u2060\ufeff"},
		{"no text", "\xff\xfe\x00"},
		{"long", strings.Repeat("A", 100_000)},
		{"shell", `zzz";echo${IFS}"hello";#`},
	}
}

// Attacked are messages in which every text of foreign origin is that one.
func Attacked(text string) []notify.Message {
	o := notify.Origin{
		Project: text, Repository: text, RunURL: text, Images: []string{text, text},
		Change: notify.Change{Commit: Commit, URL: text, Branch: text, Author: text, Subject: text, Actor: text},
	}
	run := &engine.Run{ID: text, Target: text, Status: engine.StatusFailed, ExitCode: 1, Commit: Commit, Branch: text, Problems: []string{text}}
	run.Stages = []engine.StageResult{
		{Name: text, Status: engine.StatusFailed, Steps: []engine.StepResult{{
			Stage: text, Name: text, Status: engine.StatusFailed, Reason: text, Log: text, Rerun: text,
			Judgement: engine.Judgement{Findings: []engine.Finding{{Rule: text, Path: text, Line: 1, Message: text}}, Metrics: []engine.Metric{
				{Name: text, Value: 1, Unit: text, Threshold: 2, Direction: engine.DirectionAtLeast},
			}},
		}}},
		{Name: "unit", Status: engine.StatusError, Steps: []engine.StepResult{{Stage: "unit", Name: "pytest", Status: engine.StatusError, Reason: text}}},
	}
	pull := o
	pull.Pull = text
	messages := []notify.Message{notify.FromRun(run, o), notify.FromRun(run, pull)}
	for _, state := range []notify.State{notify.Deployed, notify.RolledBack} {
		messages = append(messages, notify.FromRelease(notify.Release{
			Environment: text, Name: text, Commit: Commit, State: state, Previous: text, Reason: text, Actor: text, Images: []string{text},
			URL: text, LogURL: text, BreakGlass: text,
		}, o))
	}
	return append(messages, notify.FromAlarm(notify.Alarm{
		Severity: notify.Severity(text), Name: text, Summary: text, Environment: text, Release: text, URL: text,
	}, o))
}
