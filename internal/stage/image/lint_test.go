package image_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

var update = flag.Bool("update", false, "run the real tools, and write recordings and goldens again")

const (
	base   = "python:3.11@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	ignore = "*\n!src\n"
	sound  = "ARG BASE=" + base + "\n\nFROM ${BASE}\nCOPY src /app\nUSER 10001:10001\n" +
		"HEALTHCHECK CMD [\"python3\", \"/app/healthcheck.py\"]\nENTRYPOINT [\"python3\", \"-m\", \"app\"]\n"
)

func lintSuite() stagetest.Suite {
	files := func(dockerfile string) map[string]string {
		return map[string]string{"docker/Dockerfile": dockerfile, ".dockerignore": ignore, "src/app.py": "x = 1\n"}
	}
	with := func(files map[string]string, name, content string) map[string]string {
		files[name] = content
		return files
	}
	run := func(line string) string { return strings.Replace(sound, "USER", line+"\nUSER", 1) }
	return stagetest.Suite{
		Stage: func(*testing.T, *config.Project) engine.Stage { return image.New(image.Options{}) }, Step: "lint", Update: *update,
		Cases: []stagetest.Case{
			{Name: "clean", Live: true, Files: files(sound), Project: oneImage},
			{Name: "redirect", Live: true, Files: files(run("RUN pip install --no-cache-dir uvicorn==0.54 fastapi>=0.160")), Project: oneImage},
			{Name: "hadolint", Live: true, Files: files(run("RUN cd /tmp && sudo ls")), Project: oneImage},
			{Name: "syntax", Live: true, Files: files("FRM x\n"), Project: oneImage},
			{Name: "empty", Live: true, Files: files(""), Project: oneImage},
			{Name: "by-hand-base", Files: files(strings.Replace(sound, "3.11@", "3.12@", 1)), Project: oneImage},
			{Name: "as-root", Files: files(strings.Replace(sound, "10001:10001", "root", 1)), Project: oneImage},
			{Name: "bare", Files: files("ARG BASE=" + base + "\nFROM ${BASE} AS build\nUSER 1\nFROM ${BASE}\n"), Project: oneImage},
			{Name: "shell-form", Files: files(strings.Replace(sound, `["python3", "-m", "app"]`, "python3 -m app", 1)), Project: oneImage},
			{Name: "no-allow-list", Files: with(files(sound), ".dockerignore", ".git\n"), Project: oneImage},
			{Name: "settings-ignore", Live: true, Files: with(files(run("RUN cd /tmp && sudo ls")), ".hadolint.yaml", "ignored: [DL1000, DL3004]\n"), Project: oneImage},
			{Name: "settings-broken", Live: true, Files: with(files(sound), ".hadolint.yaml", "ignored: {\n"), Project: oneImage},
			{Name: "missing", OnlyLive: true, Files: with(files(sound), ".dockerignore", ignore), Project: func(p *config.Project) {
				oneImage(p)
				p.Image.Images[0].Dockerfile = "docker/Nonesuch"
			}},
			{Name: "crash", From: "clean", Files: files(sound), Project: oneImage, Tamper: func(r *stagetest.Recording) {
				r.Invocations[0].ExitCode, r.Invocations[0].Stdout, r.Invocations[0].Stderr = 1, "", "hadolint: out of memory"
			}},
			{Name: "torn", From: "clean", Files: files(sound), Project: oneImage, Tamper: func(r *stagetest.Recording) {
				r.Invocations[0].Stdout = r.Invocations[0].Stdout[:20]
			}},
			{Name: "blind", From: "clean", Files: files(sound), Project: oneImage, Tamper: func(r *stagetest.Recording) { r.Invocations[0].Stdout = "[]" }},
		},
	}
}

func oneImage(p *config.Project) {
	p.Image.Base = base
	p.Image.Images = []config.ContainerImage{{Name: "app", Dockerfile: "docker/Dockerfile", Repository: "app", Budget: 100}}
}

func TestLint(t *testing.T) { lintSuite().Test(t) }
