package maintenance

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/report/markdown"
)

//go:embed page
var files embed.FS

// Markdown is the report for an issue. Marks are words, since a colour tells some readers nothing.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", markdown.Inline(r.Period))
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %s\n", markdown.Inline(s.Title))
		for _, line := range s.Lines {
			fmt.Fprintf(&b, "\n%s%s\n", sign(line.Mark), prose(line.Text))
		}
		if len(s.Table.Rows) == 0 {
			continue
		}
		b.WriteString("\n|")
		for _, head := range s.Table.Columns {
			fmt.Fprintf(&b, " %s |", markdown.Inline(head))
		}
		b.WriteString("\n|")
		for i := range s.Table.Columns {
			if i < len(s.Table.Numbers) && s.Table.Numbers[i] {
				b.WriteString("--:|")
			} else {
				b.WriteString("---|")
			}
		}
		b.WriteByte('\n')
		for _, row := range s.Table.Rows {
			b.WriteByte('|')
			for _, cell := range row {
				fmt.Fprintf(&b, " %s |", markdown.Inline(cell))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func sign(m Mark) string {
	switch m {
	case Good:
		return "✅ "
	case Bad:
		return "❌ **To do**: "
	case Unknown:
		return "⚠️ **Not known**: "
	case Plain:
		return ""
	}
	return ""
}

// prose keeps code spans. Within one, nothing has a meaning, whoever wrote it.
func prose(text string) string {
	parts := strings.Split(text, "`")
	if len(parts)%2 == 0 {
		return markdown.Inline(text)
	}
	for i := range parts {
		if i%2 == 0 {
			parts[i] = markdown.Inline(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

// page is the report, decided.
type page struct {
	html.Sheet
	Report

	Status string
	ToDo   int
}

// HTML writes the same as a page.
func (r Report) HTML(w io.Writer) error {
	t, err := template.New("").Funcs(template.FuncMap{"line": report.Line, "number": number, "spans": spans, "short": short}).ParseFS(files, "page/*.html")
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	p := page{Report: r, Status: string(engine.StatusPassed)}
	for _, s := range r.Sections {
		for _, line := range s.Lines {
			switch line.Mark {
			case Bad:
				p.ToDo++
				p.Status = string(engine.StatusFailed)
			case Unknown:
				if p.Status == string(engine.StatusPassed) {
					p.Status = string(engine.StatusError)
				}
			case Good, Plain:
			}
		}
	}
	style, err := files.ReadFile("page/report.css")
	if err != nil {
		return fmt.Errorf("read style: %w", err)
	}
	if p.Sheet, err = html.NewSheet(string(style), engine.Status(p.Status)); err != nil {
		return err
	}
	return t.ExecuteTemplate(w, "report.html", p)
}

// A span is a piece of a sentence, or code in it.
type span struct {
	Code bool
	Text string
}

func spans(text string) []span {
	parts := strings.Split(report.Line(text), "`")
	if len(parts)%2 == 0 {
		return []span{{false, report.Line(text)}}
	}
	out := make([]span, len(parts))
	for i, part := range parts {
		out[i] = span{i%2 == 1, part}
	}
	return out
}

// short is true for what is not to be broken, such as a date.
func short(cell string) bool { return utf8.RuneCountInString(cell) <= 24 }

func number(t Table, i int) bool { return i < len(t.Numbers) && t.Numbers[i] }
