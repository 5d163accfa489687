package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/notify/mail"
	"github.com/meter-ml/meter-pipeline/internal/notify/slack"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A witness signs what a run found out, if there is a key to sign with.
type witness struct {
	*Session

	key evidence.PrivateKey
	has bool
}

// witness reads the key before anything runs: that it can't be read is known at once, and not after an hour.
func (s *Session) witness(wanted bool) (*witness, error) {
	w := &witness{Session: s}
	if !wanted {
		return w, nil
	}
	key, err := evidence.LoadPrivateKey(s.Host.Get)
	switch {
	case errors.Is(err, evidence.ErrNoKey):
		s.say("no evidence will be made: %s is not set (`mage evidence:keygen` makes a key pair)", evidence.KeyVariable)
		return w, nil
	case err != nil:
		return nil, &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	w.key, w.has = key, true
	return w, nil
}

// unsigning is the environment without what signs and what speaks in the team's name: the tools and tests that a run
// starts could else vouch for themselves, or tell everybody that all is well. Nor does it have the files by which a step
// speaks with GitHub's runner: black writes its counts there, between our own words.
func unsigning(env []string) []string {
	kept := []string{evidence.KeyVariable, evidence.PasswordVariable, slack.Variable, mail.URLVariable, mail.PasswordVariable, forge.TokenVariable}
	kept = append(kept, "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE")
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(kept, name)
	})
}

// sign keeps signed statements with the run, and puts beside the images that it pushed all that is known of them. It looks
// at the tree again: what was changed meanwhile was not what was judged, or not all of it.
func (w *witness) sign(ctx context.Context, run *engine.Run) error {
	if !w.has || run.Interrupted {
		return nil
	}
	tree, err := worktree.Inspect(ctx, w.Runner, w.Host.Dir, unsigning(w.Host.Env), worktree.CIFrom(w.Host.Get))
	if err != nil {
		return fmt.Errorf("make evidence: %w", err)
	}
	if tree.Commit != run.Commit || tree.Dirty != run.Dirty {
		w.say("no evidence was made: the work tree was changed while it was judged")
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("make evidence: %w", err)
	}
	artifacts := filepath.Join(w.runDir(), "artifacts")
	n, notes, err := evidence.KeepRun(evidence.Record{
		Run: run, Artifacts: artifacts, Tree: tree.Tree, Place: evidence.Here(w.Host.Get, host),
	}, w.key)
	for _, note := range notes {
		w.say("%s", note)
	}
	if err != nil {
		return fmt.Errorf("make evidence: %w", err)
	}
	if n > 0 {
		w.say("evidence: %s signed by key %.19s…: mage evidence:show %s", statements(n), w.key.ID, w.near(filepath.Join(artifacts, evidence.Directory)))
	}
	return w.attach(ctx, artifacts)
}

func statements(n int) string {
	if n == 1 {
		return "1 statement"
	}
	return fmt.Sprintf("%d statements", n)
}

func (w *witness) near(path string) string {
	if near, err := filepath.Rel(w.Host.Dir, path); err == nil {
		return near
	}
	return path
}

// attach puts evidence beside the images that this run pushed, also what earlier runs found out about them.
func (w *witness) attach(ctx context.Context, artifacts string) error {
	if _, err := os.Stat(filepath.Join(artifacts, handover.PushedManifest)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	images, err := handover.ReadPushed(artifacts)
	if err != nil {
		return fmt.Errorf("attach evidence: %w", err)
	}
	keys, err := evidence.LoadPublicKeys(w.Host.Get)
	if err != nil {
		return fmt.Errorf("attach evidence: %w", err)
	}
	client, err := w.registry()
	if err != nil {
		return err
	}
	for _, image := range images.Images {
		n, err := evidence.AttachAll(ctx, client, image.Repository, image.Digest, filepath.Join(w.State, "runs"), keys)
		if err != nil {
			return err
		}
		w.say("evidence: %s attached to %s@%.19s…", statements(n), image.Repository, image.Digest)
	}
	return nil
}
