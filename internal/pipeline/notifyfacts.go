package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// before is how the last run of the same target ended on the same branch; nil if none is remembered. One that was
// interrupted says nothing.
func (s *Session) before(runs ...*engine.Run) *notify.Before {
	past, err := history.Recent(s.historyPath(), lookBack)
	if err != nil {
		s.say("notify: whether this is a recovery is not known: %v", err)
		return nil
	}
	// A job that was run again has two of them, and the history of a machine of CI has neither.
	all := slices.Clone(past.Runs)
	for _, run := range runs {
		all = append(all, history.Of(run))
	}
	var found *notify.Before
	for _, run := range runs {
		b := lastOf(all, run)
		if b != nil && (found == nil || found.Status == engine.StatusPassed) {
			found = b
		}
	}
	return found
}

func lastOf(past []history.Run, run *engine.Run) *notify.Before {
	now := history.Of(run)
	for i := len(past) - 1; i >= 0; i-- {
		p := past[i]
		if p.Run == now.Run || p.Target != now.Target || p.Detail == nil || p.Detail.Branch != now.Detail.Branch || p.Detail.Branch == "" ||
			p.Exit == engine.ExitInterrupted || p.Time.After(now.Time) {
			continue
		}
		return &notify.Before{Status: engine.Status(p.Status), Commit: p.Commit, Time: p.Time}
	}
	return nil
}

// imagesOf names what the run handed over: what was pushed with its tags, else what was built.
func imagesOf(run *engine.Run) []string {
	artifacts := filepath.Join(run.Dir, "artifacts")
	var names []string
	if pushed, err := handover.ReadPushed(artifacts); err == nil {
		for _, image := range pushed.Images {
			name := image.Repository
			if n := slices.IndexFunc(image.Tags, semver.IsValid); n >= 0 { // a version says more than the commit
				name += ":" + image.Tags[n]
			} else if len(image.Tags) > 0 {
				name += ":" + image.Tags[0]
			}
			names = append(names, fmt.Sprintf("%s@%.19s…", name, image.Digest))
		}
		return names
	}
	if built, err := handover.ReadImages(artifacts); err == nil {
		for _, image := range built.Images {
			names = append(names, fmt.Sprintf("%s@%.19s…", image.Name, image.Digest))
		}
	}
	return names
}

// longestPayload is more than GitHub's own limit of an event.
const longestPayload = 32 << 20

// pullHead is the commit that a pull request proposes, as GitHub's event says; empty if it does not.
func pullHead(event string) string {
	if event == "" {
		return ""
	}
	file, err := os.Open(event)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	var payload struct {
		PullRequest struct {
			Head struct {
				SHA string `json:"sha"`
			} `json:"head"`
		} `json:"pull_request"`
	}
	if json.NewDecoder(io.LimitReader(file, longestPayload)).Decode(&payload) != nil {
		return ""
	}
	return payload.PullRequest.Head.SHA
}
