package config

import (
	"strings"
	"testing"
)

func TestNotifyRefuses(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"event", "notify:\n  slack:\n    events: [sucess]\n", `pipeline.yaml:3:14: notify.slack.events[0] is "sucess": did you mean "success"?`},
		{"alert for GitHub", "notify: {github: {events: [alert]}}\n", `notify.github.events[0] is "alert"`},
		{"pattern", "notify: {mail: {branches: [\"release/[\"]}}\n", `is "release/[", no pattern: write a branch`},
		{"empty pattern", "notify: {slack: {branches: [\"\"]}}\n", "no pattern"},
		{"recipient", "notify: {mail: {from: ci@example.org, to: [team]}}\n", `notify.mail.to[0] is "team", no e-mail address: write one such as`},
		{"line end in an address", "notify: {mail: {from: \"a@example.org\\r\\nBcc: b@example.org\"}}\n", "no e-mail address"},
		{"nobody writes", "notify:\n  mail:\n    to: [team@example.org]\n", "pipeline.yaml:3:7: notify.mail.from is empty, and there are recipients: name the address that writes to them"},
		{"no time", "notify: {timeout: 0s}\n", "choose a time above zero"},
		{"one longer than all", "notify: {channel: 30s}\n", "notify.channel is 30s, more than notify.timeout, which is 20s"},
		{"longer than the budget", "notify: {timeout: 3m}\n", "more than run.budgets.notify, which is 2m0s"},
		{"unknown key", "notify: {slak: {}}\n", `did you mean "slack"?`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(project(t, tc.yaml))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%v\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
	if _, err := Load(project(t, "notify: {mail: {from: ci@example.org, to: [\"Team <team@example.org>\"], branches: [\"release/*\"]}}\n")); err != nil {
		t.Error(err)
	}
}

// Where a channel is reached is a secret in each of its forms.
func TestChannelsAreSecret(t *testing.T) {
	p := Default(t.TempDir())
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SMTP_URL", "SMTP_PASSWORD", "GITHUB_TOKEN"} {
		if !p.IsSecret(name) {
			t.Errorf("%s is shown", name)
		}
	}
}
