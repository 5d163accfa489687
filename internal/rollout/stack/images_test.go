package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

// images are ours, built from this tree and pulled to the engine, by name: repository@digest.
type images map[string]string

// training fits both models on the small readings of the Python tests, and lays them out as champions are exported; the
// way through MLflow has tests of its own, and takes ten times as long.
const training = `
import sys
from pathlib import Path
from model_support import make_artifact
from models.answers import ANSWERS_FILE, known_answers
from models.artifact import CLASSIFICATION, REGRESSION
from models.inference import Predictor
target = Path(sys.argv[1])
made = [make_artifact(kind) for kind in (REGRESSION, CLASSIFICATION)]
for artifact in made:
    artifact.save(target / artifact.metadata.name)
(target / ANSWERS_FILE).write_text(known_answers({a.metadata.name: Predictor(a) for a in made}), encoding="utf-8")
`

// build makes them. What has not changed is in the builder's cache, and is neither pushed nor pulled as long as it is
// known there.
func (s *site) build() images {
	s.Helper()
	model := filepath.Join(s.TempDir(), "model")
	s.program(filepath.Join(s.root, ".venv", "bin", "python"), []string{
		"PYTHONPATH=" + filepath.Join(s.root, "src") + ":" + filepath.Join(s.root, "tests"), "PYTHONDONTWRITEBYTECODE=1",
	}, "-c", training, model)
	server := registrytest.Start(s.T)
	made := images{}
	var wait sync.WaitGroup
	var lock sync.Mutex
	for _, name := range []string{"model_api", "mlflow", "airflow"} {
		wait.Go(func() {
			if ref := s.buildOne(server.Host, name, model); ref != "" {
				lock.Lock()
				defer lock.Unlock()
				made[name] = ref
			}
		})
	}
	wait.Wait()
	if len(made) != 3 {
		s.FailNow()
	}
	return made
}

// buildOne is called from several goroutines, so it ends no test.
func (s *site) buildOne(registry, name, model string) string {
	metadata := filepath.Join(s.state, name+".json")
	repository := registry + "/stack/" + strings.ReplaceAll(name, "_", "-")
	args := []string{
		"buildx", "build", "--builder", s.get("METER_BUILDER"), "--provenance=false", "--file", filepath.Join(s.root, "docker", name, "Dockerfile"), "--build-arg", "BASE=" + s.machine.Base,
		"--build-context", "model=" + model, "--metadata-file", metadata, "--output", "type=image,push-by-digest=true,name-canonical=true,push=true,name=" + repository,
	}
	for _, variable := range []string{"PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} {
		if bundle := s.get(variable); bundle != "" {
			args = append(args, "--secret", "id=ca,src="+bundle)
			break
		}
	}
	if index := s.get("UV_DEFAULT_INDEX") + s.get("PIP_INDEX_URL"); index != "" {
		variable := "PIP_INDEX_URL"
		if s.get("UV_DEFAULT_INDEX") != "" {
			variable = "UV_DEFAULT_INDEX"
		}
		args = append(args, "--secret", "id=index,env="+variable)
	}
	if out, code := s.try("docker", nil, append(args, s.root)...); code != 0 {
		s.Errorf("build %s: exit code %d: %s", name, code, out)
		return ""
	}
	content, err := os.ReadFile(metadata)
	var built struct {
		Digest string `json:"containerimage.digest"`
	}
	if err == nil {
		err = json.Unmarshal(content, &built)
	}
	if err != nil || built.Digest == "" {
		s.Errorf("build %s: %v: %s", name, err, content)
		return ""
	}
	ref := repository + "@" + built.Digest
	if out, code := s.try("docker", nil, "pull", "--quiet", ref); code != 0 {
		s.Errorf("pull %s: exit code %d: %s", name, code, out)
		return ""
	}
	s.Cleanup(func() { s.try("docker", nil, "image", "rm", "--force", ref) })
	return ref
}

// spoiled is the image that serves, with another answer beside the same model.
func (s *site) spoiled(image string) string {
	s.Helper()
	dir := s.TempDir()
	const spoil = `import json; p = "/model/answers.json"; a = json.load(open(p)); a[3]["units_kwh"] += 0.01; json.dump(a, open(p, "w"))`
	dockerfile := "FROM " + image + "\nUSER 0\nRUN [\"python3\", \"-c\", " + quoted(spoil) + "]\nUSER 10001:10001\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		s.Fatal(err)
	}
	tag := s.name + "-spoiled"
	s.program("docker", []string{"DOCKER_BUILDKIT=0"}, "build", "--quiet", "--tag", tag, dir)
	s.Cleanup(func() { s.try("docker", nil, "image", "rm", "--force", tag) })
	return tag
}

func quoted(text string) string {
	content, err := json.Marshal(text)
	if err != nil {
		panic(err) // of a string, there is no error
	}
	return string(content)
}
