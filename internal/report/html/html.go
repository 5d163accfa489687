// Package html writes report.html: the run as one page that opens from a disk with no network. It holds its own style
// and script, and a policy that lets nothing else run or load: what a tool printed can be text only.
//
// Everything that needs a decision is made in view.go; the template lays it out, and the page works without its script
// except for the filter, the copy buttons and the keys.
package html

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

//go:embed page
var files embed.FS

// Options say what the run does not know.
type Options struct {
	Host string // the machine's name; may be empty
}

// New returns a reporter that writes report.html to path when the run has ended. It links the files that lie beside it
// by then, so it comes after those that write them.
func New(path string) engine.Reporter { return Options{}.New(path) }

// New is the function of that name for a page with more to say.
func (o Options) New(path string) engine.Reporter {
	return report.ToFile(path, func(w io.Writer, r report.Report) error { return Render(w, r, o) })
}

// Render writes the page.
func Render(w io.Writer, r report.Report, opts Options) error {
	t, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	style, err := files.ReadFile("page/style.css")
	if err != nil {
		return fmt.Errorf("read style: %w", err)
	}
	script, err := files.ReadFile("page/script.js")
	if err != nil {
		return fmt.Errorf("read script: %w", err)
	}
	v := newView(r, opts)
	v.Style = template.CSS(style)  //nolint:gosec // a file of this package
	v.Script = template.JS(script) //nolint:gosec // a file of this package
	v.Policy = policy(string(style), string(script))
	return t.ExecuteTemplate(w, "page.html", v)
}

// policy allows the two blocks of this page, by their content, and the icon, which is in the page too.
func policy(style, script string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"style-src " + hash(style),
		"script-src " + hash(script),
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
	}, "; ")
}

// A Sheet is what pages of other packages share with this one: its palette and parts, and a policy that lets nothing run.
type Sheet struct {
	Style  template.CSS
	Policy string
	Icon   template.URL
}

// NewSheet adds a page's own style to the common one. The icon is in the colour of the status.
func NewSheet(own string, s engine.Status) (Sheet, error) {
	common, err := files.ReadFile("page/style.css")
	if err != nil {
		return Sheet{}, fmt.Errorf("read style: %w", err)
	}
	style := string(common) + own
	return Sheet{
		Style: template.CSS(style), //nolint:gosec // files of the program
		Policy: strings.Join([]string{
			"default-src 'none'", "style-src " + hash(style), "img-src data:", "base-uri 'none'", "form-action 'none'",
		}, "; "),
		Icon: icon(s),
	}, nil
}

func hash(block string) string {
	sum := sha256.Sum256([]byte(block))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
