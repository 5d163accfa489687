package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/provision"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// A place is a project in a git repository of its own, and the machine that builds it.
type place struct {
	t       *testing.T
	machine *imagetest.Machine
	root    string
	runs    int
	// configured is where pipeline.yaml is taken from: this repository's names more than a build can see.
	configured string
}

// ownProject is what a build can see of this repository, at a commit whose time does not change.
func ownProject(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, machine: machine.Get(t), root: t.TempDir()}
	repository, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	p.configured = repository
	files, err := seen(repository)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"docker/airflow/Dockerfile", "docker/mlflow/Dockerfile", "docker/model_api/Dockerfile"}
	for _, module := range []string{"tools/buildx", "tools/buildkit"} {
		paths = append(paths, module+"/go.mod", module+"/go.sum")
	}
	for _, file := range files {
		if !file.mode.IsDir() {
			paths = append(paths, file.path)
		}
	}
	for _, path := range paths {
		p.copy(filepath.Join(repository, path), path)
	}
	p.commit()
	p.train()
	return p
}

func (p *place) copy(from, path string) {
	p.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		p.t.Fatal(err)
	}
	content, err := os.ReadFile(from)
	if err != nil {
		p.t.Fatal(err)
	}
	write(p.t, filepath.Join(p.root, path), string(content))
	if err := os.Chmod(filepath.Join(p.root, path), info.Mode().Perm()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) commit() {
	p.t.Helper()
	write(p.t, filepath.Join(p.root, ".gitignore"), ".pipeline/\n")
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all"}, {"-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "one"}} {
		out, err := p.runner().Run(p.t.Context(), engine.Invocation{
			Program: "git", Args: args, Dir: p.root,
			Env: append(slices.Clone(p.machine.Env), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"),
		})
		if err != nil || out.ExitCode != 0 {
			p.t.Fatalf("git %v: %v, %s", args, err, out.Stderr)
		}
	}
}

// train hands a model over, as an earlier run would have. It is no real one: nobody loads it here.
func (p *place) train() {
	p.t.Helper()
	artifacts := filepath.Join(p.root, ".pipeline", "runs", "0", "artifacts")
	write(p.t, filepath.Join(artifacts, "models/meter-regression/model.onnx"), "graph")
	write(p.t, filepath.Join(artifacts, "requests.json"), "[]")
	_, err := handover.WriteModel(artifacts, handover.Model{Sets: []handover.Set{{
		Name: "sample", Models: "models", Requests: "requests.json", Trained: []handover.Trained{{Name: "meter-regression", Version: "1"}},
	}}})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) runner() *tool.Runner {
	p.runs++
	runner := tool.NewRunner(tool.Options{State: filepath.Join(p.root, ".pipeline"), Run: fmt.Sprintf("test-%d-%d", os.Getpid(), p.runs)})
	p.t.Cleanup(func() { _ = runner.Close() })
	return runner
}

// judge runs steps of the stage through the engine, with everything real.
func (p *place) judge(o Options, env []string, steps ...string) (map[string]engine.StepResult, handover.Images) {
	p.t.Helper()
	project, err := config.Load(p.configured)
	if err != nil {
		p.t.Fatal(err)
	}
	project.Root = p.root
	plan, err := engine.NewPlan(project, []engine.Stage{New(o)})
	if err == nil {
		plan, err = plan.Select(steps...)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	runner := p.runner()
	environment := append(slices.Clone(p.machine.Env), env...)
	provisioner, err := provision.New(provision.Options{Project: project, Runner: runner, Env: environment})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = provisioner.Close(context.WithoutCancel(p.t.Context())) }()
	id := fmt.Sprintf("1-%d", p.runs)
	dir := filepath.Join(p.root, ".pipeline", "runs", id)
	run, err := engine.Execute(p.t.Context(), plan, engine.Options{
		Target: "image", Root: p.root, Dir: dir, ID: id, Runner: runner, Provider: provisioner, Env: environment, Now: time.Now, Limit: 2,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	results := map[string]engine.StepResult{}
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			results[step.Name] = step
			p.t.Logf("%s: %s in %.1f s %s %v", step.Name, step.Status, step.Duration.Seconds(), step.Reason, step.Judgement.Notes)
		}
	}
	images, err := handover.ReadImages(filepath.Join(dir, "artifacts"))
	if err != nil {
		p.t.Log(err)
	}
	return results, images
}

func passed(t *testing.T, results map[string]engine.StepResult) {
	t.Helper()
	for name, result := range results {
		if result.Status != engine.StatusPassed {
			t.Errorf("%s: %s: %s %+v", name, result.Status, result.Reason, result.Judgement.Findings)
		}
	}
}

func digests(images handover.Images) string {
	var all []string
	for _, image := range images.Images {
		all = append(all, image.Name+" "+image.Digest)
	}
	return strings.Join(all, "\n")
}

func TestEngineBuildsTheSameEachTime(t *testing.T) {
	p := ownProject(t)
	results, first := p.judge(Options{}, nil, "image:build", "image:size", "image:config")
	passed(t, results)
	if len(first.Images) != 3 || first.Dirty || first.Commit == "" || !strings.HasPrefix(first.Tree, "gitTree:") {
		t.Fatalf("handed over %+v", first)
	}
	for _, image := range first.Images {
		p.labelled(image, first.Commit)
		if image.Packed < 1e8 || image.Unpacked < image.Packed || image.Platform != "linux/amd64" || (image.Model != "") != (image.Name == "model_api") {
			t.Errorf("%+v", image)
		}
	}
	t.Run("not again", func(t *testing.T) {
		results, again := p.judge(Options{}, nil, "image:build")
		passed(t, results)
		if digests(again) != digests(first) || !strings.Contains(strings.Join(results["build"].Judgement.Notes, ""), "3 images were not built again") {
			t.Errorf("%s, %v", digests(again), results["build"].Judgement.Notes)
		}
	})
	t.Run("another directory, without any cache", func(t *testing.T) {
		other := ownProject(t)
		// A clock that moved on must not show either; files are newer here anyway.
		results, fresh := other.judge(Options{Only: []string{"model_api"}, Fresh: true}, nil, "image:build")
		passed(t, results)
		if !strings.Contains(digests(first), digests(fresh)) || len(fresh.Images) != 1 {
			t.Errorf("built first\n%s\nand then\n%s", digests(first), digests(fresh))
		}
	})
	t.Run("one source file", func(t *testing.T) {
		write(t, filepath.Join(p.root, "src/api/more.py"), "MORE = 1\n")
		results, changed := p.judge(Options{Only: []string{"model_api"}}, nil, "image:build")
		passed(t, results)
		if strings.Contains(digests(first), digests(changed)) || !changed.Dirty {
			t.Errorf("a changed file gives %s, dirty %v", digests(changed), changed.Dirty)
		}
		p.shares(first, changed)
	})
}

// labelled holds the labels against the commit, and looks for what must be in no image.
func (p *place) labelled(handed handover.Image, commit string) {
	p.t.Helper()
	image, err := read(handed)
	if err != nil {
		p.t.Fatal(err)
	}
	about, err := image.ConfigFile()
	if err != nil {
		p.t.Fatal(err)
	}
	for label, want := range map[string]string{"revision": commit, "version": commit[:10], "created": "2026-01-02T03:04:05Z"} {
		if got := about.Config.Labels["org.opencontainers.image."+label]; got != want {
			p.t.Errorf("%s: label %s is %q, want %q", handed.Name, label, got, want)
		}
	}
	if created := about.Created.UTC().Format(time.RFC3339); created != "2026-01-02T03:04:05Z" {
		p.t.Errorf("%s was created %s", handed.Name, created)
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, entry := range p.machine.Env {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"PIP_CERT", "SSL_CERT_FILE", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "HTTPS_PROXY"}, name) && value != "" && strings.Contains(string(raw), value) {
			p.t.Errorf("%s: the configuration holds %s", handed.Name, name)
		}
	}
	p.holdsNone(image, handed.Name, "run/secrets", "venv/bin/uv", "venv/bin/pip", "app/tests", "app/docker/install.sh")
}

func (p *place) holdsNone(image v1.Image, name string, unwanted ...string) {
	p.t.Helper()
	layers, err := image.Layers()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, layer := range layers[1:] { // the first is the base
		for _, file := range listed(p.t, layer) {
			if slices.ContainsFunc(unwanted, func(path string) bool { return file == path || strings.HasPrefix(file, path+"/") }) {
				p.t.Errorf("%s holds %s", name, file)
			}
		}
	}
}

// shares shows that a change of the code leaves the layers of packages as they are: nobody has to take them again.
func (p *place) shares(first, second handover.Images) {
	p.t.Helper()
	layers := map[string]bool{}
	for _, images := range []handover.Images{first, second} {
		for _, handed := range images.Images {
			if handed.Name != "model_api" {
				continue
			}
			// The first was replaced on disk; what is known of it is its stamp.
			stamped := store{filepath.Dir(handed.Layout)}.readStamp(handed.Name)
			for digest := range stamped.Unpacked {
				layers[digest] = true
			}
		}
	}
	if len(layers) != 4 {
		p.t.Errorf("layers %v", layers)
	}
}

// badProject has an image for each thing that can be wrong with one.
func badProject(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, machine: machine.Get(t), root: t.TempDir()}
	p.configured = p.root
	const tail = "ENTRYPOINT [\"python3\"]\nARG SOURCE\nARG REVISION\nARG VERSION\nARG CREATED\n" +
		"LABEL org.opencontainers.image.source=\"${SOURCE}\" org.opencontainers.image.revision=\"${REVISION}\" \\\n" +
		" org.opencontainers.image.version=\"${VERSION}\" org.opencontainers.image.created=\"${CREATED}\"\n"
	const user, health = "USER 10001:10001\n", "HEALTHCHECK CMD [\"true\"]\n"
	project := "version: 1\nname: bad\nimage:\n  source: https://example.org/bad\n  images:\n"
	for name, body := range map[string]string{
		"good": user + health, "rooted": health, "unhealthy": user, "bloated": "RUN head -c 20000000 /dev/urandom > /large\n" + user + health,
	} {
		write(t, filepath.Join(p.root, name, "Dockerfile"), "ARG BASE\nFROM ${BASE}\n"+body+tail)
		budget := 200
		if name == "bloated" {
			budget = 100
		}
		project += fmt.Sprintf("    - {name: %[1]s, judges: x, dockerfile: %[1]s/Dockerfile, repository: %[1]s, requirements: x.txt, budget: %[2]d, model: false,\n"+
			"       smoke: {command: [], env: {}, port: 1, path: /, healthy: 1s, stop: 1s, memory: 64, tmpfs: []}}\n", name, budget)
	}
	write(t, filepath.Join(p.root, config.FileName), project)
	write(t, filepath.Join(p.root, ".dockerignore"), "*\n")
	write(t, filepath.Join(p.root, "x.txt"), "")
	p.commit()
	return p
}

func TestEngineWhatIsWrongWithAnImageIsCaught(t *testing.T) {
	p := badProject(t)
	results, _ := p.judge(Options{}, nil, "image:build", "image:size", "image:config")
	if results["build"].Status != engine.StatusPassed {
		t.Fatalf("%+v", results["build"])
	}
	var found []string
	for _, f := range results["config"].Judgement.Findings {
		found = append(found, f.Path+" "+f.Rule)
	}
	slices.Sort(found)
	if want := []string{"rooted/Dockerfile root-user", "unhealthy/Dockerfile no-health-check"}; !slices.Equal(found, want) || results["config"].Status != engine.StatusFailed {
		t.Errorf("found %v, want %v", found, want)
	}
	if results["size"].Status != engine.StatusFailed {
		t.Errorf("size: %s", results["size"].Status)
	}
	for _, m := range results["size"].Judgement.Metrics {
		if m.Met() == (m.Name == "size_bloated") {
			t.Errorf("%+v", m)
		}
	}
}

func TestEngineBuildThatFailsSaysWhere(t *testing.T) {
	p := badProject(t)
	write(t, filepath.Join(p.root, "good/Dockerfile"), "ARG BASE\nFROM ${BASE}\n\nRUN python3 -c 'raise SystemExit(7)'\n")
	results, _ := p.judge(Options{}, nil, "image:build", "image:size")
	build := results["build"]
	if build.Status != engine.StatusFailed || len(build.Judgement.Findings) != 1 {
		t.Fatalf("%+v", build)
	}
	if f := build.Judgement.Findings[0]; f.Path != "good/Dockerfile" || f.Line != 4 || !strings.Contains(f.Message, "exit code: 7") {
		t.Errorf("%+v", f)
	}
	if results["size"].Status != engine.StatusSkipped {
		t.Errorf("size is %s", results["size"].Status)
	}
}

func TestEngineThatIsAwayJudgesNothing(t *testing.T) {
	p := badProject(t)
	for name, test := range map[string]struct {
		env  string
		want string
	}{
		"no engine":     {"DOCKER_HOST=unix:///nowhere/docker.sock", "the container engine does not answer"},
		"no client":     {"PATH=" + t.TempDir(), "there is no docker on PATH"},
		"no builder":    {"METER_BUILDER=nonesuch", "look at builder nonesuch"},
		"engine's own":  {"METER_BUILDER=default", "the builder default is the engine's own"},
		"no base image": {"METER_BASE_IMAGE=127.0.0.1:1/python@sha256:" + strings.Repeat("0", 64), "docker buildx bake failed"},
	} {
		results, _ := p.judge(Options{Only: []string{"good"}}, []string{test.env}, "image:build")
		if got := results["build"]; got.Status != engine.StatusError || !strings.Contains(got.Reason, test.want) {
			t.Errorf("%s: %s: %s, want %q", name, got.Status, got.Reason, test.want)
		}
	}
}

// By hand there is no pipeline, and on an older engine no BuildKit of today.
func TestEngineBuildByHand(t *testing.T) {
	p := ownProject(t)
	out, err := p.runner().Run(t.Context(), engine.Invocation{
		Program: "docker", Dir: p.root, Env: p.machine.Env,
		Args: []string{"build", "-f", "docker/mlflow/Dockerfile", "-t", "mlflow:test", "--build-arg", "BASE=" + p.machine.Base, "--target", "code", "."},
	})
	if err != nil || out.ExitCode != 0 {
		t.Fatalf("%v: exit code %d: %s", err, out.ExitCode, out.Stderr)
	}
}

// listed are the names in a layer.
func listed(t *testing.T, layer v1.Layer) []string {
	t.Helper()
	content, err := unpack(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	var names []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(header.Name, "/"))
	}
}
