package compose_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/volume"

	"github.com/docker/docker/api/types/filters"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
)

func volumesOf(args filters.Args) volume.ListOptions { return volume.ListOptions{Filters: args} }

// One host, on which releases come and go one after the other: each test of its own would wait for its own database.
func TestEngineReleases(t *testing.T) {
	h := newHost(t)
	defer h.told()
	o, err := h.target.Observe(t.Context())
	if err != nil || o.Schema != "" || o.Slots[rollout.Blue] != (rollout.Seen{}) || len(o.Services) != 0 {
		t.Fatalf("of an empty host: %+v, %v", o, err)
	}
	v1, v2 := h.release("v1", "0001", nil), h.release("v2", "0002", nil)
	if end, _ := h.roll(v1); end.Kind != rollout.Forward {
		t.Fatal("the first release did not come through")
	}
	h.serves("v1")
	began := time.Now()
	if o, err = h.target.Observe(t.Context()); err != nil || o.Schema != "0001" || o.Services["mlflow"].Image != v1.Images["mlflow"] || !o.Services["mlflow"].Healthy {
		t.Errorf("%+v, %v", o, err)
	}
	t.Logf("to observe took %s", time.Since(began))

	t.Run("shift", func(t *testing.T) {
		load := h.load(400)
		if end, _ := h.roll(v2); end.Kind != rollout.Forward {
			t.Error("it did not come through")
		}
		h.none(load)
		h.serves("v2")
	})
	t.Run("back by hand", func(t *testing.T) {
		load := h.load(400)
		end, _ := h.drive(func(ctx context.Context, d *rollout.Driver) error {
			return d.BeginBack(ctx, "v1", rollout.Order{Actor: "ada", Reason: "customers complain"})
		})
		if end.Kind != rollout.Back || end.Target != "v1" {
			t.Errorf("%+v", end)
		}
		h.none(load)
		h.serves("v1")
	})
	for _, bad := range []struct {
		name, want string
		revision   rollout.Revision
	}{
		{"image that does not exist", "pull", h.missing(v2)},
		{"migration that fails", "no such column", h.release("v3", "0003", composetest.Knobs{"SERVER_MIGRATION_FAILS": "no such column"})},
		{"crash at start", "crash", h.release("v4", "0002", composetest.Knobs{"SERVER_CRASH": "1"})},
		{"wrong answers", "known answer 0", h.release("v5", "0002", composetest.Knobs{"SERVER_WRONG": "0.5"})},
	} {
		t.Run(bad.name, func(t *testing.T) {
			load := h.load(200)
			end, reason := h.roll(bad.revision)
			if end.Kind != rollout.Recovery || !strings.Contains(reason, bad.want) {
				t.Errorf("%s: %s", end.Kind, reason)
			}
			h.none(load)
			h.serves("v1")
		})
	}
	t.Run("green is killed", func(t *testing.T) {
		load := h.load(400)
		killed := make(chan error, 1)
		go func() { killed <- h.killGreen() }()
		end, reason := h.roll(h.release("v6", "0002", nil))
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		if end.Kind != rollout.Recovery {
			t.Errorf("%s: %s", end.Kind, reason)
		}
		h.none(load)
		h.serves("v1")
	})
	t.Run("errors", func(t *testing.T) {
		load := h.load(400)
		end, reason := h.roll(h.release("v7", "0002", composetest.Knobs{"SERVER_ERRORS": "0.3"}))
		if end.Kind != rollout.Recovery || !strings.Contains(reason, "fails") {
			t.Errorf("%s: %s", end.Kind, reason)
		}
		sent, failed := load.end()
		t.Logf("%d of %d requests failed", len(failed), sent)
		h.serves("v1")
	})
}

// none demands that no request failed.
func (h *host) none(l *load) {
	h.Helper()
	sent, failed := l.end()
	h.Logf("%d of %d requests failed", len(failed), sent)
	if len(failed) > 0 || sent == 0 {
		h.Errorf("%d of %d requests failed: %q", len(failed), sent, failed[:min(5, len(failed))])
	}
}

func (h *host) missing(r rollout.Revision) rollout.Revision {
	absent := "sha256:" + strings.Repeat("ab", 32)
	images := map[string]string{}
	for name, image := range r.Images {
		images[name] = strings.Replace(image, r.Digest, absent, 1)
	}
	r.Release, r.Images, r.Digest = "missing", images, absent
	return r
}

// killGreen kills green as soon as it has half of the traffic.
func (h *host) killGreen() error {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		o, err := h.target.Observe(h.Context())
		if err == nil && o.Slots[rollout.Green].Weight == 50 {
			return h.engine.ContainerKill(h.Context(), "meter-"+h.env+"-model-api-green-1", "KILL")
		}
	}
	return context.DeadlineExceeded
}
