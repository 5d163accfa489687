package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// Slack's limits, as its reference gives them; a test reads them there. Text in rich text has no limit of its own, and is
// held to that of a section.
const (
	mostBlocks     = 50
	longestHeader  = 150
	longestSection = 3000
	longestLink    = 2000
	longestText    = 300 // of the line that a phone shows
)

// The shapes of https://docs.slack.dev/reference/block-kit: only those, and only those fields, that are sent.
type message struct {
	Text        string `json:"text"` // what a phone shows, and a screen reader reads
	Blocks      []any  `json:"blocks"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

type header struct {
	Type string    `json:"type"`
	Text plainText `json:"text"`
}

type plainText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji bool   `json:"emoji"`
}

type contextBlock struct {
	Type     string      `json:"type"`
	Elements []plainText `json:"elements"`
}

type divider struct {
	Type string `json:"type"`
}

type richText struct {
	Type     string `json:"type"`
	Elements []any  `json:"elements"`
}

type list struct {
	Type     string     `json:"type"`
	Style    string     `json:"style"`
	Elements []richText `json:"elements"`
}

type word struct {
	Type  string `json:"type"` // text or link
	Text  string `json:"text"`
	URL   string `json:"url,omitempty"`
	Style *style `json:"style,omitempty"`
}

type style struct {
	Bold bool `json:"bold,omitempty"`
	Code bool `json:"code,omitempty"`
}

// payload is the message as Slack wants it.
func payload(m notify.Message) ([]byte, error) {
	blocks := []any{header{Type: "header", Text: plainText{Type: "plain_text", Text: notify.Cut(m.Icon+" "+m.Title, longestHeader), Emoji: true}}}
	if facts := factList(m); len(facts.Elements) > 0 {
		blocks = append(blocks, richText{"rich_text", []any{facts}})
	}
	for _, blame := range m.Failures {
		blocks = append(blocks, failure(blame))
	}
	if m.Unlisted > 0 {
		blocks = append(blocks, richText{"rich_text", []any{section(text(fmt.Sprintf("and %s more", report.Count(m.Unlisted, "steps"))))}})
	}
	blocks = append(blocks, divider{"divider"})
	if change := changed(m); len(change) > 0 {
		blocks = append(blocks, richText{"rich_text", []any{section(change...)}})
	}
	if foot := footer(m); foot != "" {
		blocks = append(blocks, contextBlock{"context", []plainText{{Type: "plain_text", Text: notify.Cut(foot, longestSection)}}})
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message{Text: summary(m), Blocks: blocks[:min(len(blocks), mostBlocks)]}); err != nil {
		return nil, fmt.Errorf("write message for Slack: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func factList(m notify.Message) list {
	l := list{Type: "rich_text_list", Style: "bullet", Elements: []richText{}}
	for _, fact := range m.Facts {
		l.Elements = append(l.Elements, section(bold(fact.Label+": "), link(fact.Value, fact.URL)))
	}
	return l
}

func failure(b notify.Blame) richText {
	first := []word{bold("Stage: "), text(b.Stage), text(" ("), code(b.Step), text(", " + string(b.Status) + ")")}
	last := []word{bold("Log: "), link(b.Log, b.LogURL)}
	if b.Log == "" {
		last = nil
	}
	if b.Rerun != "" {
		if last != nil {
			last = append(last, text(" · "))
		}
		last = append(last, bold("Again: "), code(b.Rerun))
	}
	elements := []any{section(first...), richText{"rich_text_preformatted", []any{text("Error: " + b.Error)}}}
	if len(last) > 0 {
		elements = append(elements, section(last...))
	}
	return richText{"rich_text", elements}
}

// changed says who changed what: commit, branch, author, subject.
func changed(m notify.Message) []word {
	var words []word
	add := func(label string, w word) {
		if w.Text == "" {
			return
		}
		if len(words) > 0 {
			words = append(words, text("\n"))
		}
		words = append(words, bold(label+": "), w)
	}
	c := m.Change
	add("Commit", link(c.Short(), c.URL))
	if c.Subject != "" {
		add("Change", text(c.Subject))
	}
	add("Author", text(c.Author))
	if m.Pull != "" {
		add("Pull request", text("#"+m.Pull))
	}
	add("Branch", text(c.Branch))
	if m.RunURL != "" {
		add("Run", link("See GitHub Actions", m.RunURL))
	}
	return words
}

func footer(m notify.Message) string {
	var parts []string
	for _, part := range []string{m.Project, m.RunID} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if !m.Finished.IsZero() {
		parts = append(parts, m.Finished.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if m.Dirty {
		parts = append(parts, "with changes that are not committed")
	}
	return strings.Join(parts, " · ")
}

// summary is the one text that Slack reads as markup: nothing in it can be a mention, a link or a command.
func summary(m notify.Message) string {
	s := m.Icon + " " + m.Title
	environment := ""
	if m.Release != nil {
		environment = m.Release.Environment
	}
	for _, part := range []string{environment, m.Project, m.Change.Branch} {
		if part != "" {
			s += ": " + part
		}
	}
	if len(m.Failures) > 0 {
		s += ": " + m.Failures[0].Step
	}
	return inert(notify.Cut(s, longestText))
}

// inert takes away what Slack's markup is made of: brackets, and the signs before names and around emphasis.
func inert(s string) string {
	return strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u2060", "#", "#\u2060", "*", "∗", "_", "_\u2060", "~", "∼", "`", "'", "://", ":\u2060//",
	).Replace(s)
}

func section(words ...word) richText {
	elements, left := []any{}, longestSection
	for _, w := range words {
		if w.Text == "" || left <= 0 { // Slack refuses an empty text
			continue
		}
		w.Text = notify.Cut(w.Text, left)
		left -= len([]rune(w.Text))
		elements = append(elements, w)
	}
	return richText{"rich_text_section", elements}
}

func text(s string) word { return word{Type: "text", Text: s} }

func bold(s string) word { return word{Type: "text", Text: s, Style: &style{Bold: true}} }

func code(s string) word { return word{Type: "text", Text: s, Style: &style{Code: true}} }

func link(s, address string) word {
	if address == "" || len(address) > longestLink {
		return text(s)
	}
	return word{Type: "link", Text: s, URL: address}
}
