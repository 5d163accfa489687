package config

import (
	"fmt"
	"net/mail"
	"path"
	"strings"
	"time"
)

// Notify says who is told what. Where channels are reached is in the process environment: it is secret.
type Notify struct {
	Timeout Duration `yaml:"timeout"` // of all channels, which are told at the same time
	Channel Duration `yaml:"channel"` // of one
	Slack   Audience `yaml:"slack"`
	Mail    MailList `yaml:"mail"`
	GitHub  Audience `yaml:"github"`
}

// An Audience is what a channel is told of.
type Audience struct {
	Events   []string `yaml:"events"`
	Branches []string `yaml:"branches"` // patterns; empty is every branch, and pull requests, too
}

// A MailList is an audience with its addresses.
type MailList struct {
	Events   []string `yaml:"events"`
	Branches []string `yaml:"branches"`
	From     string   `yaml:"from"`
	To       []string `yaml:"to"` // nobody is told by e-mail while it is empty
}

// NotifyEvents are what a channel can be told of.
func NotifyEvents() []string {
	return []string{"success", "failure", "recovery", "deploy", "rollback", "alert"}
}

// recordedEvents are those of which GitHub keeps something.
func recordedEvents() []string { return NotifyEvents()[:5] }

func defaultNotify() Notify {
	return Notify{
		Timeout: Duration(20 * time.Second), Channel: Duration(10 * time.Second),
		Slack:  Audience{Events: NotifyEvents()},
		Mail:   MailList{Events: []string{"failure", "recovery", "deploy", "rollback", "alert"}},
		GitHub: Audience{Events: recordedEvents()},
	}
}

func (v *validator) notify() {
	n := v.project.Notify
	v.positive("notify.timeout", n.Timeout)
	v.positive("notify.channel", n.Channel)
	if n.Channel > n.Timeout {
		v.Report("notify.channel", fmt.Sprintf("notify.channel is %s, more than notify.timeout, which is %s", n.Channel.Std(), n.Timeout.Std()), "choose no more than that")
	}
	if most := v.project.Run.Budgets["notify"]; n.Timeout > most {
		v.Report("notify.timeout", fmt.Sprintf("notify.timeout is %s, more than run.budgets.notify, which is %s", n.Timeout.Std(), most.Std()), "choose no more than that: nobody waits for messages")
	}
	v.audience("notify.slack", n.Slack.Events, n.Slack.Branches, NotifyEvents())
	v.audience("notify.mail", n.Mail.Events, n.Mail.Branches, NotifyEvents())
	v.audience("notify.github", n.GitHub.Events, n.GitHub.Branches, recordedEvents())
	for i, to := range n.Mail.To {
		v.address(fmt.Sprintf("notify.mail.to[%d]", i), to)
	}
	switch {
	case n.Mail.From != "":
		v.address("notify.mail.from", n.Mail.From)
	case len(n.Mail.To) > 0:
		v.Report("notify.mail", "notify.mail.from is empty, and there are recipients", "name the address that writes to them")
	}
}

func (v *validator) audience(key string, events, branches, valid []string) {
	for i, event := range events {
		v.oneOf(fmt.Sprintf("%s.events[%d]", key, i), event, valid)
	}
	for i, pattern := range branches {
		if _, err := path.Match(pattern, ""); err != nil || strings.TrimSpace(pattern) == "" {
			v.Report(fmt.Sprintf("%s.branches[%d]", key, i), fmt.Sprintf("%s.branches[%d] is %q, no pattern", key, i, pattern), "write a branch, or a pattern such as release/*")
		}
	}
}

// address takes one address, without line ends or a list.
func (v *validator) address(key, text string) {
	if _, err := mail.ParseAddress(text); err != nil || strings.ContainsAny(text, "\r\n") {
		v.Report(key, fmt.Sprintf("%s is %q, no e-mail address", key, text), "write one such as team@example.org, or Team <team@example.org>")
	}
}
