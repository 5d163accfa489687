package handover_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/handover"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// given lays a trained model into artifacts of a run.
func given(t *testing.T) (string, handover.Model) {
	t.Helper()
	artifacts := t.TempDir()
	write(t, filepath.Join(artifacts, "integration/models/sample/meter/model.onnx"), "graph")
	write(t, filepath.Join(artifacts, "integration/models/sample/meter/metadata.json"), "{}")
	write(t, filepath.Join(artifacts, "integration/requests.json"), "[]")
	return artifacts, handover.Model{Sets: []handover.Set{{
		Name: "sample", Data: "data/sample.csv", Models: "integration/models/sample", Requests: "integration/requests.json",
		Trained: []handover.Trained{{Name: "meter", Version: "1", Metrics: map[string]float64{"mae": 0.5}}},
	}}}
}

func TestModelIsTakenOverAsItWasHandedOver(t *testing.T) {
	artifacts, model := given(t)
	written, err := handover.WriteModel(artifacts, model)
	if err != nil {
		t.Fatal(err)
	}
	read, err := handover.ReadModel(artifacts)
	if err != nil {
		t.Fatal(err)
	}
	want := written
	want.Sets = []handover.Set{written.Sets[0]}
	want.Sets[0].Models = filepath.Join(artifacts, "integration/models/sample")
	want.Sets[0].Requests = filepath.Join(artifacts, "integration/requests.json")
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(read.Files) != 3 || !strings.HasPrefix(read.Digest, "sha256:") {
		t.Errorf("digest %s of %v", read.Digest, read.Files)
	}
}

func TestWhatIsNotTheModelIsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, artifacts string)
		want   string
	}{
		"none": {func(t *testing.T, a string) { t.Helper(); remove(t, a, "model.json") }, "none was handed over: run `mage integration`"},
		"a byte": {func(t *testing.T, a string) {
			t.Helper()
			write(t, filepath.Join(a, "integration/models/sample/meter/model.onnx"), "graqh")
		}, "model.onnx is not the file that was handed over"},
		"a file less": {func(t *testing.T, a string) {
			t.Helper()
			remove(t, a, "integration/models/sample/meter/metadata.json")
		}, "metadata.json is missing"},
		"a file more": {func(t *testing.T, a string) {
			t.Helper()
			write(t, filepath.Join(a, "integration/models/sample/meter/extra"), "")
		}, "extra was added"},
		"a link": {func(t *testing.T, a string) {
			t.Helper()
			remove(t, a, "integration/requests.json")
			if err := os.Symlink("models/sample/meter/metadata.json", filepath.Join(a, "integration/requests.json")); err != nil {
				t.Fatal(err)
			}
		}, "requests.json is no regular file"},
		"half a manifest": {func(t *testing.T, a string) {
			t.Helper()
			write(t, filepath.Join(a, "model.json"), `{"schema": 1, "se`)
		}, "unexpected EOF"},
		"a later manifest": {func(t *testing.T, a string) { t.Helper(); write(t, filepath.Join(a, "model.json"), `{"schema": 2}`) }, "its schema is 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			artifacts, model := given(t)
			if _, err := handover.WriteModel(artifacts, model); err != nil {
				t.Fatal(err)
			}
			test.change(t, artifacts)
			_, err := handover.ReadModel(artifacts)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "mage integration") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestHalfAModelIsNotHandedOver(t *testing.T) {
	for want, change := range map[string]func(*handover.Model){
		"no data set":      func(m *handover.Model) { m.Sets = nil },
		"has no model":     func(m *handover.Model) { m.Sets[0].Trained = nil },
		"no file of model": func(m *handover.Model) { m.Sets[0].Trained[0].Name = "other" },
		"no such file":     func(m *handover.Model) { m.Sets[0].Requests = "nowhere.json" },
		"invalid argument": func(m *handover.Model) { m.Sets[0].Models = "../elsewhere" },
	} {
		artifacts, model := given(t)
		change(&model)
		if _, err := handover.WriteModel(artifacts, model); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := os.Stat(filepath.Join(artifacts, "model.json")); err == nil {
			t.Errorf("%s: there is a manifest", want)
		}
	}
}

func remove(t *testing.T, artifacts, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(artifacts, name)); err != nil {
		t.Fatal(err)
	}
}
