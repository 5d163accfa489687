package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

func TestNewRunID(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 25, 1, 0, time.FixedZone("", 3600))
	id, err := engine.NewRunID(at, strings.NewReader("\x01\xab\xcd\xef"))
	if err != nil || id != "20261123-132501-01abcdef" {
		t.Errorf("%q, %v", id, err)
	}
	if _, err := engine.NewRunID(at, iotest.ErrReader(os.ErrClosed)); err == nil {
		t.Error("no error")
	}
}

func TestLatest(t *testing.T) {
	state := filepath.Join(t.TempDir(), "with a space", ".pipeline")
	root := filepath.Dir(state)
	latest := filepath.Join(state, "latest")
	run := func(id string, fail bool) {
		t.Helper()
		plan, err := engine.NewPlan(&config.Project{}, one(engine.Step{Name: "a", Func: func(context.Context, engine.Scope) (engine.Judgement, error) {
			// It is there while the run goes on: of a killed run nobody may see an older report.
			if to, err := os.Readlink(latest); err != nil || to != "runs/"+id {
				t.Errorf("latest is %q, %v", to, err)
			}
			return judged, nil
		}}))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(root, 0o750); err != nil {
			t.Fatal(err)
		}
		_, err = engine.Execute(t.Context(), plan, engine.Options{
			Root: root, Dir: filepath.Join(state, "runs", id), ID: id, Runner: tooltest.New(t),
		})
		if fail != (err != nil) {
			t.Errorf("%s: %v", id, err)
		}
	}
	run("1", false)
	run("2", false)
	if err := os.Remove(latest); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(latest, "full"), 0o750); err != nil {
		t.Fatal(err)
	}
	run("3", true)
	if left, err := filepath.Glob(latest + ".*"); err != nil || left != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestTwoRunsInOneCheckout runs many at once: each has its own directory, and latest is always one of them.
func TestTwoRunsInOneCheckout(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id, err := engine.NewRunID(time.Now(), rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			text := fmt.Sprint("run ", i)
			plan, err := engine.NewPlan(&config.Project{}, one(
				engine.Step{Name: "write", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
					s.Log("%s", text)
					return judged, os.WriteFile(filepath.Join(s.Artifacts, "report"), []byte(text), 0o600)
				}},
				engine.Step{Name: "read", After: []string{"write"}, Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
					b, err := os.ReadFile(filepath.Join(s.Artifacts, "report"))
					if string(b) != text {
						t.Errorf("%s reads %q", text, b)
					}
					if _, err := os.Stat(filepath.Join(root, ".pipeline", "latest", "logs")); err != nil {
						t.Error(err)
					}
					return judged, err
				}},
			))
			if err != nil {
				t.Error(err)
				return
			}
			run, err := engine.Execute(t.Context(), plan, engine.Options{
				Root: root, Dir: filepath.Join(root, ".pipeline", "runs", id), ID: id, Runner: tooltest.New(t),
			})
			if err != nil || run.ExitCode != 0 {
				t.Errorf("%v, %+v", err, run)
			}
		})
	}
	wg.Wait()
}
