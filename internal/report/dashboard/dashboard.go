// Package dashboard draws one page of what the history knows: for a team's GitHub Pages, or for a laptop. It opens from a
// disk with no network, runs no script and loads nothing; behind each picture is a table.
//
// view.go decides what is said, attention.go what somebody should look at now, chart.go draws, and the template lays it
// out with the palette of the run's report.
package dashboard

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

//go:embed page
var files embed.FS

// Goal is the share of runs that are to pass.
const Goal = 0.99

// Options say what the history does not know.
type Options struct {
	Name       string // of the project
	Now        time.Time
	Budgets    history.Budgets
	Quarantine []config.Quarantine
	Allow      []config.Allow
}

// Render writes the page.
func Render(w io.Writer, records history.Records, opts Options) error {
	t, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	style, err := files.ReadFile("page/dashboard.css")
	if err != nil {
		return fmt.Errorf("read style: %w", err)
	}
	runs := trend.Whole(records.Runs)
	status := engine.StatusSkipped
	if last, ok := runs.Last(); ok {
		status = engine.Status(last.Status)
	}
	sheet, err := html.NewSheet(string(style), status)
	if err != nil {
		return err
	}
	v := newView(records, runs, opts)
	v.Sheet = sheet
	return t.ExecuteTemplate(w, "dashboard.html", v)
}
