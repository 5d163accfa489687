package image

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// soundConfig is that of an image with which nothing is wrong.
func soundConfig() v1.Config {
	labels := map[string]string{}
	for _, label := range wantedLabels() {
		labels[label] = "x"
	}
	return v1.Config{
		User: "10001:10001", Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}},
		Entrypoint: []string{"python3", "-m", "app"}, Labels: labels,
	}
}

// stored writes an image as a layout, and hands it over.
func stored(t *testing.T, c v1.Config) (engine.Scope, []config.ContainerImage) {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.Config(image, c); err != nil {
		t.Fatal(err)
	}
	scope := engine.Scope{Root: t.TempDir(), Artifacts: t.TempDir()}
	one := job{ContainerImage: config.ContainerImage{Name: "app", Dockerfile: "docker/Dockerfile", Budget: 1}, layout: filepath.Join(scope.Root, "images", "app"), key: "k"}
	store := store{filepath.Join(scope.Root, "images")}
	building, err := store.begin()
	if err != nil {
		t.Fatal(err)
	}
	written, err := layout.Write(filepath.Join(building, "app"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := written.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	if err := store.keep(building, one); err != nil {
		t.Fatal(err)
	}
	handed, err := store.describe(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := handover.WriteImages(scope.Artifacts, handover.Images{Images: []handover.Image{handed}}); err != nil {
		t.Fatal(err)
	}
	return scope, []config.ContainerImage{one.ContainerImage}
}

func TestWhatAnImageSaysOfItselfIsJudged(t *testing.T) {
	tests := map[string]struct {
		change func(*v1.Config)
		want   []string
	}{
		"sound":               {func(*v1.Config) {}, nil},
		"no user":             {func(c *v1.Config) { c.User = "" }, []string{"root-user"}},
		"root":                {func(c *v1.Config) { c.User = "root" }, []string{"root-user"}},
		"zero":                {func(c *v1.Config) { c.User = "0" }, []string{"root-user"}},
		"root's group":        {func(c *v1.Config) { c.User = "10001:0" }, []string{"root-user"}},
		"by name":             {func(c *v1.Config) { c.User = "meter" }, []string{"root-user"}},
		"user alone":          {func(c *v1.Config) { c.User = "10001" }, nil},
		"no health check":     {func(c *v1.Config) { c.Healthcheck = nil }, []string{"no-health-check"}},
		"health check none":   {func(c *v1.Config) { c.Healthcheck.Test = []string{"NONE"} }, []string{"no-health-check"}},
		"health check empty":  {func(c *v1.Config) { c.Healthcheck.Test = nil }, []string{"no-health-check"}},
		"shell":               {func(c *v1.Config) { c.Entrypoint = []string{"/bin/sh", "-c", "python3 -m app"} }, []string{"shell-entry-point"}},
		"shell with options":  {func(c *v1.Config) { c.Entrypoint = []string{"/bin/bash", "-ec", "exec app"} }, []string{"shell-entry-point"}},
		"shell as a command":  {func(c *v1.Config) { c.Entrypoint, c.Cmd = nil, []string{"/bin/sh", "-c", "app"} }, []string{"shell-entry-point"}},
		"command alone":       {func(c *v1.Config) { c.Entrypoint, c.Cmd = nil, []string{"python3"} }, nil},
		"nothing to start":    {func(c *v1.Config) { c.Entrypoint = nil }, []string{"no-entry-point"}},
		"no label":            {func(c *v1.Config) { c.Labels = nil }, []string{"missing-label", "missing-label", "missing-label", "missing-label"}},
		"an empty label":      {func(c *v1.Config) { c.Labels["org.opencontainers.image.revision"] = " " }, []string{"missing-label"}},
		"everything at fault": {func(c *v1.Config) { *c = v1.Config{Labels: c.Labels} }, []string{"root-user", "no-health-check", "no-entry-point"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := soundConfig()
			test.change(&c)
			scope, images := stored(t, c)
			j, err := configStep(images).Func(t.Context(), scope)
			if err != nil || j.Judged != 1 {
				t.Fatalf("judged %d, %v", j.Judged, err)
			}
			var rules []string
			for _, f := range j.Findings {
				rules = append(rules, f.Rule)
				if f.Path != "docker/Dockerfile" || f.Help == "" || !strings.Contains(f.Message, "image app: ") {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(test.want, rules); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSizeIsMeasuredAgainstTheBudget(t *testing.T) {
	scope, images := stored(t, soundConfig())
	for budget, met := range map[int]bool{1: true, 0: false} {
		images[0].Budget = budget
		j, err := sizeStep(images).Func(t.Context(), scope)
		if err != nil || len(j.Metrics) != 1 {
			t.Fatalf("%+v, %v", j, err)
		}
		if m := j.Metrics[0]; m.Value != 0.002 || m.Met() != met {
			t.Errorf("budget %d: %+v", budget, m)
		}
		if len(j.Tables[0].Rows) != 2 {
			t.Errorf("layers %v", j.Tables[0].Rows)
		}
	}
}

func TestAnImageThatWasNotHandedOverIsAnError(t *testing.T) {
	scope, images := stored(t, soundConfig())
	images = append(images, config.ContainerImage{Name: "other"})
	for _, step := range []engine.Step{sizeStep(images), configStep(images)} {
		if _, err := step.Func(t.Context(), scope); err == nil || !strings.Contains(err.Error(), "image other was not handed over") {
			t.Errorf("%s: %v", step.Name, err)
		}
	}
}

// A layout counts as built only as long as each byte of it is what the stamp speaks of.
func TestAStampIsVerifiedBeforeItIsBelieved(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		key    string
		want   bool
	}{
		"as it was":    {func(*testing.T, string) {}, "k", true},
		"another key":  {func(*testing.T, string) {}, "l", false},
		"no key":       {func(*testing.T, string) {}, "", false},
		"no stamp":     {func(t *testing.T, dir string) { t.Helper(); remove(t, dir+".json") }, "k", false},
		"half a stamp": {func(t *testing.T, dir string) { t.Helper(); write(t, dir+".json", `{"key": "k"`) }, "k", false},
		"no layout":    {func(t *testing.T, dir string) { t.Helper(); remove(t, dir) }, "k", false},
		"another image": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, "index.json")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, strings.Replace(string(content), "sha256:", "sha256:0", 1))
		}, "k", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			scope, _ := stored(t, soundConfig())
			dir := filepath.Join(scope.Root, "images", "app")
			test.change(t, dir)
			one := job{ContainerImage: config.ContainerImage{Name: "app"}, layout: dir, key: test.key}
			if got := (store{filepath.Dir(dir)}).current(one); got != test.want {
				t.Errorf("current is %v", got)
			}
		})
	}
}

func TestAByteThatIsMissingOrWrongIsNoticed(t *testing.T) {
	scope, _ := stored(t, soundConfig())
	dir := filepath.Join(scope.Root, "images", "app")
	one := job{ContainerImage: config.ContainerImage{Name: "app"}, layout: dir, key: "k"}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) != 4 {
		t.Fatalf("blobs %v, %v", blobs, err)
	}
	for _, blob := range blobs {
		content, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string][]byte{
			"cut": content[:len(content)-1], "longer": append(slices.Clone(content), 0), "a bit": append([]byte{content[0] ^ 1}, content[1:]...),
		} {
			write(t, blob, string(other))
			if (store{filepath.Dir(dir)}).current(one) {
				t.Errorf("%s of %s is not noticed", name, filepath.Base(blob))
			}
		}
		write(t, blob, string(content))
		if !(store{filepath.Dir(dir)}).current(one) {
			t.Fatal("the sound one is not believed")
		}
	}
}

func TestKeyIsOfAllThatABuildCanSee(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "docker/Dockerfile"), "FROM x\n")
	write(t, filepath.Join(root, ".dockerignore"), "*\n!src\n!one.txt\nsrc/tests\n")
	write(t, filepath.Join(root, "src/app.py"), "x = 1\n")
	write(t, filepath.Join(root, "src/tests/test.py"), "x = 1\n")
	write(t, filepath.Join(root, "one.txt"), "1")
	write(t, filepath.Join(root, "other.txt"), "1")
	one := job{ContainerImage: config.ContainerImage{Dockerfile: "docker/Dockerfile"}, args: map[string]string{"BASE": "b@sha256:1"}, digest: "d"}
	last := ""
	changed := func(what string, want bool) {
		t.Helper()
		now, err := key(root, one)
		if err != nil {
			t.Fatal(err)
		}
		if (now != last) != want {
			t.Errorf("%s: another key is %v, want %v", what, now != last, want)
		}
		last = now
	}
	changed("first", true)
	changed("again", false)
	for _, file := range []struct {
		path string
		want bool
	}{{"src/app.py", true}, {"one.txt", true}, {"docker/Dockerfile", true}, {"src/new/deep.py", true}, {"other.txt", false}, {"src/tests/test.py", false}} {
		write(t, filepath.Join(root, file.path), "other\n")
		changed(file.path, file.want)
	}
	if err := os.Chmod(filepath.Join(root, "src/app.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	changed("mode", true)
	if err := os.Rename(filepath.Join(root, "src/app.py"), filepath.Join(root, "src/b.py")); err != nil {
		t.Fatal(err)
	}
	changed("name", true)
	if err := os.Symlink("b.py", filepath.Join(root, "src/link")); err != nil {
		t.Fatal(err)
	}
	changed("link", true)
	one.digest = "e"
	changed("model", true)
	one.args = map[string]string{"BASE": "b@sha256:1", "REVISION": "r"}
	changed("argument", true)
	write(t, filepath.Join(root, ".dockerignore"), "*\n!src\n!one.txt\n")
	changed(".dockerignore", true)
	one.args = map[string]string{"BASE": "b:latest"}
	if now, err := key(root, one); err != nil || now != "" {
		t.Errorf("a base that is not pinned gives the key %q, %v", now, err)
	}
}

func TestOnlyAnAllowListIsTaken(t *testing.T) {
	for content, want := range map[string]string{
		"*\n!src\n# more\n!a/b.txt\n": "", "": "no allow-list", ".git\n": "no allow-list", "*\n!**/x\n": "without wildcards",
		"*\n!../x\n": "without wildcards", "*\n!src/*.py\n": "without wildcards",
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, ".dockerignore"), content)
		_, err := seen(root)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	if _, err := seen(t.TempDir()); err == nil {
		t.Error("a project without the file is taken")
	}
}

func TestTheModelIsThisRunsElseTheNewestThatVerifies(t *testing.T) {
	runs := t.TempDir()
	train := func(run, content string) string {
		artifacts := filepath.Join(runs, run, "artifacts")
		write(t, filepath.Join(artifacts, "models/sample/meter/model.onnx"), content)
		write(t, filepath.Join(artifacts, "requests.json"), "[]")
		_, err := handover.WriteModel(artifacts, handover.Model{Sets: []handover.Set{{
			Name: "sample", Models: "models/sample", Requests: "requests.json", Trained: []handover.Trained{{Name: "meter", Version: "1"}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return artifacts
	}
	mine := filepath.Join(runs, "3", "artifacts")
	write(t, filepath.Join(mine, "x"), "")
	if _, _, err := findModel(mine); err == nil || !strings.Contains(err.Error(), "mage integration") {
		t.Errorf("none: %v", err)
	}
	train("1", "first")
	second := train("2", "second")
	model, note, err := findModel(mine)
	if err != nil || !strings.HasPrefix(model.Sets[0].Models, second) || !strings.Contains(note, "run 2") {
		t.Errorf("%v, %q, %v", model.Sets, note, err)
	}
	write(t, filepath.Join(second, "models/sample/meter/model.onnx"), "tampered")
	model, note, err = findModel(mine)
	if err != nil || !strings.Contains(model.Sets[0].Models, "/1/") || !strings.Contains(note, "passed over: run 2") {
		t.Errorf("%v, %q, %v", model.Sets, note, err)
	}
	train("3", "own")
	if model, note, err = findModel(mine); err != nil || note != "" || !strings.HasPrefix(model.Sets[0].Models, mine) {
		t.Errorf("%v, %q, %v", model.Sets, note, err)
	}
	write(t, filepath.Join(mine, "requests.json"), "[1]")
	if _, _, err = findModel(mine); err == nil {
		t.Error("this run's own, tampered with, is passed over")
	}
}

func TestRedirects(t *testing.T) {
	for text, want := range map[string]bool{
		`pip install fastapi>=0.1`:                      true,
		`pip install --no-cache-dir "a>=1" b>2`:         true,
		`set -e && python3 -m pip install a>=1`:         true,
		`uv pip install 'a>=1' && echo x > /y`:          false,
		`pip3 install a >=1`:                            true,
		`/venv/bin/pip3.11 install a>1`:                 true,
		`pip install "a>=1"`:                            false,
		`pip install a\>=1`:                             false,
		`pip install -r requirements.txt`:               false,
		`echo pip > /x`:                                 false,
		`apt-get install x > /dev/null`:                 false,
		`pip --quiet install a>=1`:                      true,
		`uv pip sync --require-hashes requirements.txt`: false,
	} {
		if got := redirects(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestAFailedBuildIsAFindingOnlyWhereTheCodeIsWrong(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "docker/Dockerfile"), "FROM x\n\nRUN a && \\\n    false\n")
	jobs := []job{{ContainerImage: config.ContainerImage{Name: "app", Dockerfile: "docker/Dockerfile"}}, {ContainerImage: config.ContainerImage{Name: "b"}}}
	const broken = "#5 [app 2/3] RUN a &&     false\n#5 0.1 a\n#5 ERROR: process \"/bin/sh -c a\" did not complete successfully: exit code: 1\n" +
		"#6 [b] exporting\n#6 ERROR: rpc error: code = Canceled\nERROR: target b: failed to solve: Canceled\n"
	for name, test := range map[string]struct {
		text, path string
		line       int
	}{
		"instruction": {broken, "docker/Dockerfile", 3},
		"no file":     {"#7 [app 3/3] COPY x y\n#7 ERROR: failed to calculate checksum of ref a::b: \"/x\": not found\n", "docker/Dockerfile", 0},
		"syntax":      {"ERROR: target app: failed to solve: dockerfile parse error on line 2: unknown instruction: FRM\n", "docker/Dockerfile", 2},
		"no network":  {"#5 1.2 error: dns error: failed to lookup address information\n" + broken, "", 0},
		"no builder":  {"ERROR: no builder \"x\" found\n", "", 0},
		"nothing":     {"", "", 0},
	} {
		f, err := failedBuild(root, jobs, engine.Output{ExitCode: 1, Stderr: []byte(test.text)})
		if (err == nil) != (test.path != "") || err == nil && (f.Path != test.path || f.Line != test.line) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
