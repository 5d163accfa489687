package compose

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	dto "github.com/prometheus/client_model/go"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

func newTarget(t *testing.T) *Target {
	t.Helper()
	dir := t.TempDir()
	runner := tool.NewRunner(tool.Options{State: filepath.Join(dir, ".pipeline"), Run: "compose" + strings.ReplaceAll(dir, "/", "-")})
	target, err := New(Config{Environment: "test", State: dir, Host: "unix://" + filepath.Join(dir, "no.sock"), Runner: runner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	return target
}

func buckets(counts ...uint64) []bucket {
	all, bounds := []bucket{}, []float64{1, 2, math.Inf(1)}
	for i, n := range counts {
		all = append(all, bucket{bounds[i], n})
	}
	return all
}

func TestPredictionsAreDifferences(t *testing.T) {
	t.Parallel()
	got, err := differences(buckets(5, 7, 8), buckets(6, 10, 12))
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []float64{1, 2, 2, 5}) {
		t.Errorf("%v, %v", got, err)
	}
	for name, now := range map[string][]bucket{
		"began anew": buckets(1, 1, 1), "one bucket went back": buckets(6, 6, 12), "other buckets": buckets(6, 10),
		"not a histogram": {{1, 9}, {2, 8}, {math.Inf(1), 20}},
		"other bounds":    {{1, 6}, {3, 10}, {math.Inf(1), 12}},
	} {
		if got, err := differences(buckets(5, 7, 8), now); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	many, err := differences(buckets(0, 0, 0), buckets(50_000, 100_000, 100_000))
	if err != nil || len(many) < mostPredictions*9/10 || len(many) > mostPredictions*11/10 {
		t.Errorf("%d of 100,000 predictions, %v", len(many), err)
	}
	first := 0
	for _, v := range many[:1000] {
		if v == 1 {
			first++
		}
	}
	if first < 400 || first > 600 {
		t.Errorf("%d of the first 1000 are of the first bucket: they are in no random order", first)
	}
	if _, err := between(scrape{process: "a"}, scrape{process: "b"}); err == nil {
		t.Error("two processes count as one")
	}
}

func TestBucketsOfAllLabelsAreAdded(t *testing.T) {
	t.Parallel()
	bound, n := 1.0, uint64(3)
	one := &dto.Metric{Histogram: &dto.Histogram{Bucket: []*dto.Bucket{{UpperBound: &bound, CumulativeCount: &n}}}}
	if got := added(&dto.MetricFamily{Metric: []*dto.Metric{one, one}}); !slices.Equal(got, []bucket{{1, 6}}) {
		t.Errorf("%v", got)
	}
}

func TestOlderEpochIsRefused(t *testing.T) {
	t.Parallel()
	target := newTarget(t)
	for _, c := range []struct {
		epoch   uint64
		refused bool
	}{{3, false}, {3, false}, {2, true}, {7, false}, {3, true}, {7, false}} {
		if err := target.raise(t.Context(), c.epoch); (err != nil) != c.refused {
			t.Errorf("epoch %d: %v", c.epoch, err)
		}
	}
	file := filepath.Join(target.config.State, "epoch.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := target.raise(t.Context(), 8); err == nil {
		t.Error("a damaged epoch.json lets anyone through")
	}
}

func TestHostileVariablesAreRefused(t *testing.T) {
	t.Parallel()
	target := newTarget(t)
	if err := target.writeVariables(map[string]string{"MLFLOW_IMAGE": "127.0.0.1:5000/a@sha256:0", "EMPTY": ""}); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{
		"LINE": "a\nPROXY_IMAGE=evil", "REFERENCE": "${HOME}", "SPACE": "a b", "QUOTE": "a'b", "COMMENT": "a#b", "lower": "a", "A=B": "a",
	} {
		err := target.writeVariables(map[string]string{name: value})
		if !errors.Is(err, rollout.ErrPermanent) {
			t.Errorf("%s=%q: %v", name, value, err)
		}
	}
}

func TestLeadingIsWhatHasTheTraffic(t *testing.T) {
	t.Parallel()
	s := slots{Revisions: map[rollout.Slot]rollout.Revision{rollout.Blue: {Release: "v1"}, rollout.Green: {Release: "v2"}}, Started: rollout.Green}
	for _, c := range []struct {
		blue, green int
		want        string
	}{{0, 0, "v2"}, {95, 5, "v1"}, {50, 50, "v2"}, {0, 100, "v2"}, {100, 0, "v1"}} {
		s.Weights = rollout.Weights{rollout.Blue: c.blue, rollout.Green: c.green}
		if r, ok := s.leading(); !ok || r.Release != c.want {
			t.Errorf("at %d and %d: %s", c.blue, c.green, r.Release)
		}
	}
	if _, ok := (slots{}).leading(); ok {
		t.Error("something leads where nothing was started")
	}
}

func TestVariablesOfBothSlots(t *testing.T) {
	t.Parallel()
	target := newTarget(t)
	bundle := "sha256:" + strings.Repeat("0", 64)
	dir := target.layout.Bundle(bundle)
	settings := `{"schema":1,"environment":"test","gate":"optional","serving":"model_api","services":{},
		"times":{"pull":"1s","migrate":"1s","ready":"1s","smoke":"1s","replace":"1s","verify":"1s","drain":"1s","blind":"1s","poll":"1s"},
		"judge":{"steps":[{"weight":100,"window":"1s","deadline":"1s"}],"alpha":0.001,"guard":0.05,"min_requests":1},"synthetic":{"rate":0}}`
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "settings.json"), []byte(settings), 0o600)); err != nil {
		t.Fatal(err)
	}
	revision := func(release, digest string, slot rollout.Slot) rollout.Revision {
		return rollout.Revision{
			Release: release, Digest: digest, Slot: slot, Bundle: bundle,
			Images: map[string]string{"model_api": "r/model_api@" + digest, "mlflow": "r/mlflow@sha256:" + release},
		}
	}
	v1, v2 := revision("v1", "sha256:1", rollout.Blue), revision("v2", "sha256:2", rollout.Green)
	s := slots{Revisions: map[rollout.Slot]rollout.Revision{rollout.Blue: v1, rollout.Green: v2}}
	v, err := target.variables(s, v2)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"METER_ENVIRONMENT": "test", "STATE": target.config.State, "NETWORK": "meter-test", "MLFLOW_IMAGE": "r/mlflow@sha256:v2",
		"MODEL_API_BLUE_IMAGE": "r/model_api@sha256:1", "MODEL_API_BLUE_RELEASE": "v1", "MODEL_API_BLUE_DIGEST": "sha256:1",
		"MODEL_API_GREEN_IMAGE": "r/model_api@sha256:2", "MODEL_API_GREEN_RELEASE": "v2", "MODEL_API_GREEN_DIGEST": "sha256:2",
		"SMOKE_IMAGE": "r/model_api@sha256:2", "SMOKE_DIGEST": "sha256:2", "SMOKE": filepath.Join(dir, "smoke.py"),
	} {
		if v[name] != want {
			t.Errorf("%s is %q, not %q", name, v[name], want)
		}
	}
	wrong := v2
	wrong.Digest = "sha256:3"
	if _, err := target.variables(s, wrong); !errors.Is(err, rollout.ErrPermanent) {
		t.Errorf("an image of another digest: %v", err)
	}
	gone := v2
	gone.Bundle = "sha256:" + strings.Repeat("1", 64)
	if _, err := target.variables(s, gone); err == nil {
		t.Error("there are settings of a bundle that is not there")
	}
	if err := target.writeProxy(s); err == nil {
		t.Error("the proxy has a configuration without a template")
	}
}

func TestWhatAContainerLacks(t *testing.T) {
	t.Parallel()
	health := func(status string) *container.Health {
		return &container.Health{Status: status, Log: []*container.HealthcheckResult{{Output: "no \x1b[31manswer\n"}}}
	}
	for _, c := range []struct {
		state container.State
		want  string
	}{
		{container.State{Running: true}, ""},
		{container.State{Running: true, Health: health(container.Healthy)}, ""},
		{container.State{Running: true, Health: health(container.Starting)}, "it is starting"},
		{container.State{Running: true, Health: health(container.Unhealthy)}, "its health check fails: no answer"},
		{container.State{Running: true, Paused: true}, "it is paused"},
		{container.State{Restarting: true, ExitCode: 3}, "it ended with exit code 3, and is started again"},
		{container.State{Status: "exited"}, "it exited"},
	} {
		one := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &c.state}}
		if got := unwell(one); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

func TestContainerOfAnotherImageIsNotBelieved(t *testing.T) {
	t.Parallel()
	one := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{Image: "sha256:id", State: &container.State{Running: true}},
		Config:            &container.Config{Labels: map[string]string{imageLabel: "r/a@sha256:1", releaseLabel: "v1"}},
	}
	if got := imageOf(one, map[string]string{"r/a@sha256:1": "sha256:id"}); got != "r/a@sha256:1" {
		t.Error(got)
	}
	if got := imageOf(one, map[string]string{"r/a@sha256:1": "sha256:other"}); got != "sha256:id" {
		t.Error(got)
	}
}

func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	target := newTarget(t)
	if o, err := target.Observe(t.Context()); err == nil {
		t.Errorf("%+v", o)
	}
	if _, err := target.Metrics(t.Context(), time.Now(), time.Now()); !errors.Is(err, errDeaf) {
		t.Errorf("%v", err)
	}
	for _, c := range []Config{{}, {Environment: "a", State: "relative", Runner: target.config.Runner}, {Environment: "a", State: "/a"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
	// Nothing was started: there is no weight to take.
	if err := target.SetWeights(t.Context(), nil, rollout.Weights{}); err != nil {
		t.Error(err)
	}
	if err := target.SetWeights(t.Context(), nil, rollout.Weights{rollout.Blue: 100}); !errors.Is(err, rollout.ErrPermanent) {
		t.Errorf("%v", err)
	}
}

func TestErrorsOfAPull(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"manifest for a@sha256:0 not found: manifest unknown":           true,
		"pull access denied for a, repository does not exist":           true,
		"Get \"https://a/v2/\": dial tcp: connect: connection refused":  false,
		"net/http: TLS handshake timeout":                               false,
		"toomanyrequests: you have reached your pull rate limit":        false,
		"failed to register layer: no space left on device":             false,
		"no matching manifest for linux/arm64 in the manifest list":     true,
		"received unexpected HTTP status: 503 Service Unavailable":      false,
		"invalid reference format: repository name must be lowercase":   true,
		"unauthorized: incorrect username or password":                  true,
		"Get \"https://a/v2/\": no basic auth credentials":              true,
		"denied: requested access to the resource is denied":            true,
		"error pulling image configuration: download failed: i/o error": false,
	} {
		if got := errors.Is(lasting(errors.New(text)), rollout.ErrPermanent); got != want {
			t.Errorf("%q: permanent %v", text, got)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	if got := tail("a\x1b[31m\nb\n"); got != "a | b" {
		t.Errorf("%q", got)
	}
	if got := tail(strings.Repeat("ä", longestTail)); len(got) > longestTail+len("… ") || !strings.HasPrefix(got, "… ä") {
		t.Errorf("%.20q", got)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	values := []float64{0.001, 0.002, 0.003, 0.004}
	if quantile(nil, 0.5) != 0 || quantile(values, 0.5) != 2*time.Millisecond || quantile(values, 0.99) != 4*time.Millisecond {
		t.Error(quantile(values, 0.5), quantile(values, 0.99))
	}
	if near(math.NaN(), 1) || near(1, math.NaN()) || !near(1+1e-10, 1) || near(1+1e-8, 1) {
		t.Error("near")
	}
}
