package github

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const longestLog = 64 << 10 // bytes of one step's log that are shown

// logs shows what the steps of a stage have printed: folded where they passed, open where they did not, since that is what
// a reader came for.
func (g *Reporter) logs(stage *engine.StageResult) error {
	if !g.opts.Logs || stage == nil {
		return nil
	}
	var errs []error
	for _, step := range stage.Steps {
		text := g.log(step)
		if text == "" {
			continue
		}
		title := report.Line(fmt.Sprintf("%s/%s: %s, log", stage.Name, step.Name, word(step.Status)))
		if step.Status != engine.StatusPassed {
			errs = append(errs, g.write("── "+title+" ──\n"+text))
			continue
		}
		errs = append(errs, g.command("::group::"+data(title)+"\n"), g.write(text), g.command("::endgroup::\n"))
	}
	return errors.Join(errs...)
}

func word(status engine.Status) string {
	if status == engine.StatusError {
		return "not judged"
	}
	return string(status)
}

func (g *Reporter) write(text string) error {
	_, err := io.WriteString(g.opts.Out, text)
	return err
}

// log is the end of a step's log, in whole lines. The engine has masked it, and taken out what steers a terminal. What
// can't be read is said, and no error: it is in the artifacts.
func (g *Reporter) log(step engine.StepResult) string {
	if step.Log == "" || !filepath.IsLocal(filepath.FromSlash(step.Log)) {
		return ""
	}
	file, err := os.Open(filepath.Join(g.dir, filepath.FromSlash(step.Log)))
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return ""
	}
	from := max(info.Size()-longestLog, 0)
	content, err := io.ReadAll(io.NewSectionReader(file, from, longestLog))
	if err != nil {
		return ""
	}
	note := ""
	if from > 0 {
		_, content, _ = bytes.Cut(content, []byte("\n"))
		note = fmt.Sprintf("… the first %d bytes are in the artifacts: %s\n", info.Size()-int64(len(content)), report.Line(step.Log))
	}
	text := note + report.Text(string(content))
	if text[len(text)-1] != '\n' {
		text += "\n"
	}
	return text
}
