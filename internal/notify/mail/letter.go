package mail

import (
	_ "embed" // the page of a letter
	"fmt"
	"html/template"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const longestSubject = 150

//go:embed letter.html
var page string

// letter is the message to one recipient.
func (c *Channel) letter(m notify.Message, to string) (*gomail.Msg, error) {
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := letter.From(c.opts.From); err != nil {
		return nil, fmt.Errorf("write e-mail: notify.mail.from: %w", err)
	}
	if err := letter.To(strings.Split(to, ", ")...); err != nil {
		return nil, fmt.Errorf("write e-mail: notify.mail.to: %w", err)
	}
	letter.Subject(subject(m))
	letter.SetDate()
	letter.SetMessageID()
	letter.SetBulk() // so that nobody's absence is told to a program
	if m.Important {
		letter.SetImportance(gomail.ImportanceHigh)
	}
	html, err := render(m)
	if err != nil {
		return nil, err
	}
	letter.SetBodyString(gomail.TypeTextPlain, body(m))
	letter.AddAlternativeString(gomail.TypeTextHTML, html)
	return letter, nil
}

// subject is one line, whatever a branch is called: a line end would begin another header.
func subject(m notify.Message) string {
	parts := []string{m.Icon + " " + m.Title}
	if m.Project != "" {
		parts[0] = "[" + m.Project + "] " + parts[0]
	}
	if m.Release != nil {
		parts = append(parts, m.Release.Environment)
	}
	if m.Change.Branch != "" {
		parts = append(parts, m.Change.Branch)
	}
	return notify.Cut(report.Line(strings.Join(parts, ": ")), longestSubject)
}

// body is the letter as text.
func body(m notify.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n\n", m.Icon, m.Title)
	for _, fact := range m.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", fact.Label, fact.Value)
	}
	for _, f := range m.Failures {
		fmt.Fprintf(&b, "\n- Stage: %s (%s, %s)\n- Error: %s\n", f.Stage, f.Step, f.Status, strings.ReplaceAll(f.Error, "\n", "\n    "))
		if f.Log != "" {
			fmt.Fprintf(&b, "- Log: %s %s\n", f.Log, f.LogURL)
		}
		if f.Rerun != "" {
			fmt.Fprintf(&b, "- Again: %s\n", f.Rerun)
		}
	}
	if m.Unlisted > 0 {
		fmt.Fprintf(&b, "\nand %s more\n", report.Count(m.Unlisted, "steps"))
	}
	b.WriteString("\n")
	for _, line := range details(m) {
		fmt.Fprintf(&b, "%s: %s\n", line.Label, line.Value)
		if line.URL != "" && line.URL != line.Value {
			fmt.Fprintf(&b, "  %s\n", line.URL)
		}
	}
	return b.String()
}

// details are who and what changed, and where to read on.
func details(m notify.Message) []notify.Fact {
	var lines []notify.Fact
	add := func(label, value, url string) {
		if value != "" {
			lines = append(lines, notify.Fact{Label: label, Value: value, URL: url})
		}
	}
	commit := m.Change.Short()
	if m.Dirty && commit != "" {
		commit += ", with changes that are not committed"
	}
	add("Commit", commit, m.Change.URL)
	add("Change", m.Change.Subject, "")
	add("Author", m.Change.Author, "")
	add("Branch", m.Change.Branch, "")
	add("Pull request", m.Pull, "")
	add("Started by", m.Change.Actor, "")
	add("Run", m.RunID, m.RunURL)
	if !m.Finished.IsZero() {
		add("Finished", m.Finished.UTC().Format("2006-01-02 15:04 UTC"), "")
	}
	return lines
}

func render(m notify.Message) (string, error) {
	t, err := template.New("letter").Parse(page)
	if err != nil {
		return "", fmt.Errorf("write e-mail: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, map[string]any{"Message": m, "Details": details(m)}); err != nil {
		return "", fmt.Errorf("write e-mail: %w", err)
	}
	return b.String(), nil
}
