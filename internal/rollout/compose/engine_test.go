package compose_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
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
	if end, reason := h.roll(h.release("v0", "0001", composetest.Knobs{"SERVER_WRONG": "0.5"})); end.Kind != rollout.Recovery || end.Target != "" {
		t.Fatalf("a first release that is wrong ended as %s, to %q: %s", end.Kind, end.Target, reason)
	}
	if o, err = h.target.Observe(t.Context()); err != nil || o.Slots[rollout.Blue] != (rollout.Seen{}) || o.Slots[rollout.Green] != (rollout.Seen{}) {
		t.Fatalf("after a first release that was withdrawn: %+v, %v", o.Slots, err)
	}
	v1, v2 := h.release("v1", "0001", nil), h.release("v2", "0001", nil)
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
		load := h.load(200)
		if end, _ := h.roll(v2); end.Kind != rollout.Forward {
			t.Error("it did not come through")
		}
		h.none(load)
		h.serves("v2")
	})
	t.Run("back by hand", func(t *testing.T) {
		load := h.load(200)
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
		title, want string
		revision    rollout.Revision
	}{
		{"image that does not exist", "pull", h.missing(v2)},
		{"migration that fails", "no such column", h.release("v3", "0003", composetest.Knobs{"SERVER_MIGRATION_FAILS": "no such column"})},
		{"crash at start", "crash", h.release("v4", "0001", composetest.Knobs{"SERVER_CRASH": "1"})},
	} {
		t.Run(bad.title, func(t *testing.T) {
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
		load := h.load(200)
		killed := make(chan error, 1)
		go func() { killed <- h.killGreen() }()
		end, reason := h.roll(h.release("v6", "0001", nil))
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		if end.Kind != rollout.Recovery {
			t.Errorf("%s: %s", end.Kind, reason)
		}
		h.none(load)
		h.serves("v1")
	})
	t.Run("proxy is killed", h.proxyIsKilled)
	t.Run("figures", h.figures)
	t.Run("who was overtaken", h.overtaken)
	t.Run("errors", func(t *testing.T) {
		load := h.load(200)
		end, reason := h.roll(h.release("v7", "0001", composetest.Knobs{"SERVER_ERRORS": "0.3"}))
		if end.Kind != rollout.Recovery || !strings.Contains(reason, "fails") {
			t.Errorf("%s: %s", end.Kind, reason)
		}
		sent, failed := load.end()
		t.Logf("%d of %d requests failed", len(failed), sent)
		h.serves("v1")
	})
}

// A registry that gives images to those only whom it knows.
func TestEnginePullsWithCredentials(t *testing.T) {
	h := bareHost(t)
	locked := registrytest.Locked(t)
	image, err := h.registry.Image(composetest.Knobs{"GIT_SHA": h.env})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.NewDigest(locked.Host+"/"+h.env+"@"+digest.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	me := authn.FromConfig(authn.AuthConfig{Username: registrytest.User, Password: registrytest.Password})
	if err := remote.Write(reference, image, remote.WithAuth(me), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	r := rollout.Revision{Release: "v1", Digest: digest.String(), Images: map[string]string{"model_api": reference.String()}}
	if err := h.target.Pull(t.Context(), h.fence, r); !errors.Is(err, rollout.ErrPermanent) {
		t.Errorf("without credentials: %v", err)
	}
	h.secret("agent/REGISTRY_USERNAME", registrytest.User, 0)
	h.secret("agent/REGISTRY_PASSWORD", registrytest.Password+"\n", 0)
	for range 2 { // the second time it is there
		if err := h.target.Pull(t.Context(), h.fence, r); err != nil {
			t.Errorf("with credentials: %v", err)
		}
	}
	if o, err := h.target.Observe(t.Context()); err != nil || !o.Images[reference.String()] || !o.Images[digest.String()] {
		t.Errorf("%v, %v", o.Images, err)
	}
	r.Images["model_api"] = locked.Host + "/" + h.env + ":latest"
	if err := h.target.Pull(t.Context(), h.fence, r); !errors.Is(err, rollout.ErrPermanent) {
		t.Errorf("an image without a digest: %v", err)
	}
	locked.Kill()
	r.Images["model_api"] = strings.Replace(reference.String(), digest.Hex, strings.Repeat("0", 64), 1)
	if err := h.target.Pull(t.Context(), h.fence, r); err == nil || errors.Is(err, rollout.ErrPermanent) {
		t.Errorf("a registry that is gone: %v", err)
	}
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

// proxyIsKilled ends the proxy's process while v1 has 60 %: it is back by itself, with these weights.
func (h *host) proxyIsKilled(t *testing.T) {
	weights := rollout.Weights{rollout.Blue: 60, rollout.Green: 40}
	if err := h.target.SetWeights(t.Context(), h.fence, weights); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	c, err := h.engine.ContainerInspect(t.Context(), "meter-"+h.env+"-proxy-1")
	if err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if err := syscall.Kill(c.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	blind := 0
	var o rollout.Observation
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if o, err = h.target.Observe(t.Context()); err != nil {
			blind++
			continue
		}
		if blind > 0 && o.Slots[rollout.Blue].Healthy {
			break
		}
	}
	t.Logf("%d looks in vain, healthy again after %.2f s", blind, time.Since(killed).Seconds())
	if err != nil || blind == 0 || o.Slots[rollout.Blue].Weight != 60 || o.Slots[rollout.Green].Weight != 40 || !o.Slots[rollout.Blue].Healthy {
		t.Errorf("after %d looks in vain: %+v, %v", blind, o.Slots, err)
	}
	if _, err := h.target.Metrics(t.Context(), from, time.Now()); err == nil {
		t.Error("there are figures of the time in which the proxy was killed")
	}
	if err := h.target.SetWeights(t.Context(), h.fence, rollout.Weights{rollout.Blue: 100}); err != nil {
		t.Fatal(err)
	}
}

// figures are exact, and told apart from synthetic requests; there are none where a counter began anew.
func (h *host) figures(t *testing.T) {
	answers, err := h.target.Answers(t.Context(), rollout.Revision{Slot: rollout.Blue})
	if err != nil || len(answers) != known.Count {
		t.Fatalf("%d known answers, %v", len(answers), err)
	}
	observe := func() {
		t.Helper()
		if _, err := h.target.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	// A test before this one has killed the proxy, and the log may not have seen the new one yet.
	var from time.Time
	for until := time.Now().Add(20 * time.Second); ; {
		began := time.Now()
		observe()
		from = time.Now()
		_, err := h.target.Metrics(t.Context(), began, from)
		if err == nil {
			break
		}
		if from.After(until) {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	sent, err := h.target.Synthetic(ctx, 100, [][]byte{answers[0].Request, answers[1].Request})
	if err != nil || sent.Failed != 0 || sent.Requests < 100 {
		t.Errorf("%+v, %v", sent, err)
	}
	sides, err := h.target.Metrics(t.Context(), from, time.Now())
	blue := sides[rollout.Blue]
	if err != nil || blue.Requests != sent.Requests || blue.Errors != 0 || int64(len(blue.Seconds)) != sent.Requests ||
		int64(len(blue.Predictions["prediction_units_kwh"])) != sent.Requests {
		t.Errorf("%d sent; %d requests, %d errors, %d times, %d predictions, %v", sent.Requests, blue.Requests, blue.Errors,
			len(blue.Seconds), len(blue.Predictions["prediction_units_kwh"]), err)
	}
	live, err := h.target.Live(t.Context(), time.Since(from))
	if traffic := live.Slots[rollout.Blue]; err != nil || live.Synthetic != sent.Requests || traffic.Median <= 0 || traffic.P99 < traffic.Median {
		t.Errorf("%+v, %v", live, err)
	}
	from = time.Now()
	observe()
	c, err := h.engine.ContainerInspect(t.Context(), "meter-"+h.env+"-model-api-blue-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(c.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var o rollout.Observation
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until) && (!o.Slots[rollout.Blue].Healthy || o.Slots[rollout.Blue].Restarts == 0); {
		time.Sleep(50 * time.Millisecond)
		if o, err = h.target.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if o.Slots[rollout.Blue].Restarts != 1 || !o.Slots[rollout.Blue].Healthy {
		t.Errorf("%+v", o.Slots[rollout.Blue])
	}
	if _, err := h.target.Metrics(t.Context(), from, time.Now()); err == nil {
		t.Error("there are figures of the time in which blue began anew")
	}
}

// overtaken is an agent that slept: whatever it does is refused, by the target itself if its lease seems good to it.
func (h *host) overtaken(t *testing.T) {
	r := h.release("late", "0002", nil)
	for name, old := range map[string]*fence{"its epoch is old": {epoch: h.fence.epoch - 1}, "its lease is lost": {epoch: h.fence.epoch, lost: true}} {
		for action, do := range map[string]func() error{
			"weights": func() error { return h.target.SetWeights(t.Context(), old, rollout.Weights{rollout.Green: 100}) },
			"stop":    func() error { return h.target.Stop(t.Context(), old, rollout.Green) },
			"start":   func() error { return h.target.Start(t.Context(), old, r) },
			"pull":    func() error { return h.target.Pull(t.Context(), old, r) },
			"migrate": func() error { return h.target.Migrate(t.Context(), old, r) },
			"replace": func() error { return h.target.Replace(t.Context(), old, r) },
		} {
			err := do()
			if action == "stop" && err == nil { // nothing is there to be stopped
				continue
			}
			if err == nil || !strings.Contains(err.Error(), "epoch") && !errors.Is(err, lease.ErrLost) {
				t.Errorf("%s, %s: %v", name, action, err)
			}
		}
	}
	h.serves("v1")
}
