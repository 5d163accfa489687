package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A part is a section of the page.
type part struct{ key, title, text string }

func parts() []part {
	return []part{
		{"shift", "Shifts and rollbacks", "A whole roll-out with drain under load, and the way back from each weight. Each request is a POST of a known\nquestion; one fails that has no answer within 5 s, another status than 200, or a wrong answer."},
		{"bad", "Bad releases", "Each has to be rolled back by itself. Failed requests are those of users, until all traffic was back."},
		{"kill", "Killed", "SIGKILL for the agent that leads, at each entry that a roll-out writes to its journal: right after an intent, so before or\nin the side effect, and right after its result, so before the state says so. The lease has to be free within 30 s. The\nsame at every single point, in memory: `go test -run TestKilled ./internal/rollout`."},
		{"fault", "Faults", "What happens when the new release has a quarter of the traffic, and how it ends. Where proxy or engine go, requests\nfail while they are away, which nothing behind them can help."},
		{"refuse", "Refusals", "Tests of internal/pipeline that deploy for real, with a registry, keys and evidence of their own."},
		{"stack", "The whole system", "The test of internal/rollout/stack: every container, what none of them may show, and what the smoke test finds broken."},
		{"secret", "Secrets", "Canary values of each secret are searched for wherever a person or a program could come upon them."},
		{"workflow", "The committed workflow", "The jobs of .github/workflows/pipeline.yml, each in a checkout of its own, from a push of develop to production: images are\nbuilt, pushed and deployed for real, and Slack, mail and GitHub are servers on this machine."},
	}
}

// page is what people read.
func (r *Record) page() string {
	var b strings.Builder
	b.WriteString("# What deploys have been through\n\nWritten by `mage test:deploys` (`go run ./internal/rollout/trial/trials`): real engine, Compose, HAProxy, registry and\nPostgreSQL, with POST requests all the time. The raw figures, with the time line of each trial, are in\n[deploys.json](deploys.json). One of them: `go run ./internal/rollout/trial/trials -only=\"bad/2 % errors\"`.\n\nThe machine's cores serve the requests, make them, and do all the rest, too.\n")
	r.machines(&b)
	for _, p := range parts() {
		var trials []Trial
		for _, t := range r.Trials {
			if t.Part == p.key {
				trials = append(trials, t)
			}
		}
		if len(trials) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", p.title)
		if p.text != "" {
			b.WriteString(p.text + "\n\n")
		}
		table(&b, trials)
	}
	return b.String()
}

// machines says where and when the trials ran, and on which trees.
func (r *Record) machines(b *strings.Builder) {
	var lines []string
	for _, t := range r.Trials {
		m := t.Machine
		line := fmt.Sprintf("- %s: %d cores, %s, engine %s, Compose %s, HAProxy %s; tree %.12s", t.Began.UTC().Format("2006-01-02"), m.Cores, m.Go, m.Engine, m.Compose, m.Proxy, t.Tree)
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
}

// table has a column for each figure that any of the trials has.
func table(b *strings.Builder, trials []Trial) {
	var columns []string
	for _, t := range trials {
		for _, f := range t.Figures {
			if !slices.Contains(columns, f.head()) {
				columns = append(columns, f.head())
			}
		}
	}
	fmt.Fprintf(b, "| trial | %s outcome |\n|---|%s---|\n", cells(columns), strings.Repeat("---:|", len(columns)))
	for _, t := range trials {
		row := make([]string, len(columns))
		for _, f := range t.Figures {
			row[slices.Index(columns, f.head())] = f.String()
		}
		outcome := t.Outcome
		if t.Problem != "" {
			outcome = "**not passed**: " + t.Problem
		}
		fmt.Fprintf(b, "| %s | %s %s |\n", cell(t.Name), cells(row), cell(outcome))
	}
}

func cells(all []string) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(cell(c) + " | ")
	}
	return strings.TrimSuffix(b.String(), " ")
}

func cell(text string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text) }

func (f Figure) head() string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + ", " + f.Unit
}

func (f Figure) String() string {
	if f.Value == float64(int64(f.Value)) {
		return strconv.FormatInt(int64(f.Value), 10)
	}
	return strconv.FormatFloat(f.Value, 'f', 1, 64)
}
