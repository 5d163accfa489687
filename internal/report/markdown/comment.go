package markdown

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// CommentMark begins the comment, and nobody sees it: by it the comment is found again.
const CommentMark = "<!-- meter-pipeline: the comment of this pull request -->"

const (
	commentLimit = 60_000 // bytes; a comment may hold 65,536 characters
	maxBlamed    = 20     // steps that are told of
	maxMetrics   = 60
)

// A Told is what a comment takes of one report.json.
type Told struct {
	ID       string        `json:"id"` // sorts by time
	Target   string        `json:"target"`
	Status   engine.Status `json:"status"`
	Commit   string        `json:"commit"`
	Duration float64       `json:"duration_seconds"`
	Stages   []toldStage   `json:"stages"`
}

type toldStage struct {
	Name  string     `json:"name"`
	Steps []toldStep `json:"steps"`
}

type toldStep struct {
	Name     string        `json:"name"`
	Status   engine.Status `json:"status"`
	Reason   string        `json:"reason"`
	Rerun    string        `json:"rerun"`
	Duration float64       `json:"duration_seconds"`
	Findings []struct {
		Rule    string `json:"rule"`
		Fails   bool   `json:"fails"`
		Path    string `json:"path"`
		Line    int    `json:"line"`
		Message string `json:"message"`
	} `json:"findings"`
	Metrics []struct {
		Name      string           `json:"name"`
		Value     *float64         `json:"value"`
		Unit      string           `json:"unit"`
		Threshold *float64         `json:"threshold"`
		Direction engine.Direction `json:"direction"`
		Met       bool             `json:"met"`
	} `json:"metrics"`
}

// Tell reads reports, and keeps of each target the newest.
func Tell(reports [][]byte) (map[string]Told, error) {
	newest := map[string]Told{}
	for _, content := range reports {
		var one Told
		if err := json.Unmarshal(content, &one); err != nil {
			return nil, fmt.Errorf("read report.json: %w", err)
		}
		if one.Target == "" || one.ID == "" {
			return nil, errors.New("read report.json: it names no run or no target")
		}
		if have, ok := newest[one.Target]; !ok || one.ID > have.ID {
			newest[one.Target] = one
		}
	}
	return newest, nil
}

// A Comment is what a pull request is told.
type Comment struct {
	Targets []string // that should have judged it, in their order
	Here    map[string]Told
	Base    map[string]Told
	Branch  string // the base's; empty: there is nothing to compare with
	Why     string // then
	URL     string // of this run
}

// Render writes it. What left no report was not judged, and then the whole was not.
func (c Comment) Render() string {
	p := &page{}
	p.printf("%s\n## %s\n\n", CommentMark, c.verdict())
	p.printf("| Job | Stage | Result | Time |\n|---|---|---|--:|\n")
	for _, target := range c.Targets {
		c.rows(p, target)
	}
	c.compare(p)
	blamed := 0
	for _, target := range c.Targets {
		for _, stage := range c.Here[target].Stages {
			for _, step := range stage.Steps {
				if step.Status != engine.StatusFailed && step.Status != engine.StatusError {
					continue
				}
				if blamed++; blamed <= maxBlamed {
					c.blame(p, stage.Name, step)
				}
			}
		}
	}
	if blamed > maxBlamed {
		p.printf("\n%d of %d steps that did not pass are shown.\n", maxBlamed, blamed)
	}
	if c.URL != "" {
		p.printf("\n[Everything about this run](%s)\n", c.URL)
	}
	return p.b.String()
}

func (c Comment) verdict() string {
	failed, unjudged := 0, 0
	for _, target := range c.Targets {
		switch told, ok := c.Here[target]; {
		case ok && told.Status == engine.StatusPassed:
		case ok && told.Status == engine.StatusFailed:
			failed++
		default:
			unjudged++
		}
	}
	switch {
	case len(c.Targets) == 0:
		return sign(engine.StatusError) + " nothing was judged"
	case failed > 0:
		return fmt.Sprintf("%s %d of %d jobs failed%s", sign(engine.StatusFailed), failed, len(c.Targets), also(unjudged))
	case unjudged > 0:
		return fmt.Sprintf("%s %d of %d jobs were not judged", sign(engine.StatusError), unjudged, len(c.Targets))
	}
	return fmt.Sprintf("%s all %d jobs passed", sign(engine.StatusPassed), len(c.Targets))
}

func also(unjudged int) string {
	if unjudged == 0 {
		return ""
	}
	return fmt.Sprintf(", %d not judged", unjudged)
}

func (c Comment) rows(p *page, target string) {
	told, ok := c.Here[target]
	if !ok {
		p.printf("| %s | | %s not judged: it left no report | |\n", inline(target), sign(engine.StatusError))
		return
	}
	name := inline(target)
	for _, stage := range told.Stages {
		count := map[engine.Status]int{}
		var took float64
		worst := engine.StatusPassed
		for _, step := range stage.Steps {
			count[step.Status]++
			took += step.Duration
			worst = worse(worst, step.Status)
		}
		text := fmt.Sprintf("%d of %s passed", count[engine.StatusPassed], report.Count(len(stage.Steps), "steps"))
		if n := count[engine.StatusSkipped]; n > 0 {
			text += fmt.Sprintf(", %d skipped", n)
		}
		p.printf("| %s | %s | %s %s | %s |\n", name, inline(stage.Name), sign(worst), text, report.Duration(time.Duration(took*float64(time.Second))))
		name = ""
	}
}

// worse is the one that a reader must know of; skipped alone is no failure.
func worse(a, b engine.Status) engine.Status {
	order := []engine.Status{engine.StatusPassed, engine.StatusSkipped, engine.StatusFailed, engine.StatusError}
	if slices.Index(order, b) > slices.Index(order, a) || !slices.Contains(order, b) {
		return b
	}
	return a
}

// blame is folded, with the findings that failed the step.
func (c Comment) blame(p *page, stage string, step toldStep) {
	part := &page{}
	part.printf("\n<details><summary>%s %s/%s</summary>\n\n", sign(step.Status), tag(stage), tag(step.Name))
	if step.Reason != "" {
		part.printf("%s\n\n", inline(step.Reason))
	}
	shown := 0
	for _, f := range step.Findings {
		if !f.Fails || shown == maxRows {
			continue
		}
		shown++
		part.printf("- %s %s %s\n", code(report.Place(engine.Finding{Path: f.Path, Line: f.Line})), inline(f.Rule), inline(f.Message))
	}
	if shown < len(step.Findings) {
		part.printf("\n%d of %s shown.\n", shown, report.Count(len(step.Findings), "findings"))
	}
	if step.Rerun != "" {
		part.printf("\nOnly this, on a laptop: %s\n", code(step.Rerun))
	}
	part.printf("\n</details>\n")
	if p.b.Len()+part.b.Len() > commentLimit {
		p.printf("\n%s %s/%s: left out, since this comment would be too long.\n", sign(step.Status), inline(stage), inline(step.Name))
		return
	}
	p.b.WriteString(part.b.String())
}
