package provision

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// What docker and buildx wrote, cut to what is read.
const (
	infoServes = `{"ServerVersion":"28.5.1","ClientInfo":{"Plugins":[{"Name":"buildx","Path":"/usr/libexec/docker/cli-plugins/docker-buildx"}]}}`
	infoDown   = `{"ServerErrors":["Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"],"ClientInfo":{"Plugins":[]}}`
	remote     = "Name:          b\nDriver:        remote\n\nNodes:\nName:             b0\nEndpoint:         unix:///x.sock\nStatus:           running\nBuildKit version: v0.25.2\n"
	ofEngine   = "Name:   default\nDriver: docker\n\nNodes:\nName:             default\nStatus:           running\nBuildKit version: v0.8+unknown\n"
	inactive   = "Name:   b\nDriver: remote\n\nNodes:\nName:   b0\nError:  failed to dial\n"
)

func text(code int, stdout string) engine.Output {
	return engine.Output{ExitCode: code, Stdout: []byte(stdout + "\n")}
}

func TestEngine(t *testing.T) {
	info := func(out engine.Output) tooltest.Stub {
		return tooltest.Stub{Program: "docker", Args: []string{"info", "--format"}, Output: out}
	}
	inspect := func(builder string, out engine.Output) tooltest.Stub {
		return tooltest.Stub{Program: "docker-buildx", Args: []string{"inspect", "--bootstrap", builder}, Output: out}
	}
	for _, test := range []struct {
		name    string
		builder string
		stubs   []tooltest.Stub
		wrong   string // part of the error; empty: it is provided
		detail  string
	}{
		{"all there", "b", []tooltest.Stub{info(text(0, infoServes)), inspect("b", text(0, remote))}, "", "engine 28.5.1, builder b (remote, BuildKit v0.25.2)"},
		{"own builder is made", "", []tooltest.Stub{
			info(text(0, infoServes)),
			{Program: "docker-buildx", Args: []string{"inspect", "meter-pipeline"}, Output: text(1, "")},
			{Program: "docker-buildx", Args: []string{"create", "--name", "meter-pipeline", "--driver", "docker-container"}},
			inspect("meter-pipeline", text(0, remote)),
		}, "", "builder meter-pipeline"},
		{"own builder is there", "", []tooltest.Stub{
			info(text(0, infoServes)),
			{Program: "docker-buildx", Args: []string{"inspect", "meter-pipeline"}, Output: text(0, remote)},
			inspect("meter-pipeline", text(0, remote)),
		}, "", "builder meter-pipeline"},
		{"own builder can't be made", "", []tooltest.Stub{
			info(text(0, infoServes)),
			{Program: "docker-buildx", Args: []string{"inspect", "meter-pipeline"}, Output: text(1, "")},
			{Program: "docker-buildx", Args: []string{"create"}, Output: engine.Output{ExitCode: 1, Stderr: []byte("ERROR: pull access denied\n")}},
		}, "make a builder: docker-buildx failed with exit code 1: ERROR: pull access denied: name one that serves in METER_BUILDER", ""},
		{"engine is down", "b", []tooltest.Stub{info(text(1, infoDown))}, "the container engine does not answer: Cannot connect", ""},
		{"no answer at all", "b", []tooltest.Stub{info(text(125, "unknown flag"))}, "ask docker for its engine: exit code 125: unknown flag", ""},
		{"engine's own builder", "b", []tooltest.Stub{info(text(0, infoServes)), inspect("b", text(0, ofEngine))}, "is the engine's own, which can't write images", ""},
		{"builder is down", "b", []tooltest.Stub{info(text(0, infoServes)), inspect("b", text(0, inactive))}, "the builder b does not serve (failed to dial)", ""},
		{"no such builder", "b", []tooltest.Stub{
			info(text(0, infoServes)), inspect("b", engine.Output{ExitCode: 1, Stderr: []byte("ERROR: no builder \"b\" found\n")}),
		}, "look at builder b: docker-buildx failed with exit code 1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			c.env["METER_BUILDER"] = test.builder
			c.env["PATH"] = withProgram(t, "docker")
			c.runner = tooltest.New(t, test.stubs...)
			got, err := c.provisioner().Provide(t.Context(), engine.NeedEngine, c.say)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || !strings.Contains(got.Detail, test.detail) || got.Programs != "/usr/libexec/docker/cli-plugins" {
				t.Errorf("%+v, %v", got, err)
			}
			if want := map[string]string{"": ownBuilder}; got.Env["BUILDX_BUILDER"] != test.builder+want[test.builder] {
				t.Errorf("environment %v", got.Env)
			}
		})
	}
}

func TestEngineWithoutAClient(t *testing.T) {
	c := newCheckout(t)
	c.env["PATH"] = t.TempDir()
	c.runner = tooltest.New(t)
	_, err := c.provisioner().Provide(t.Context(), engine.NeedEngine, c.say)
	if err == nil || !strings.Contains(err.Error(), "there is no docker on PATH: install Docker Engine") {
		t.Errorf("error %v", err)
	}
	rows := c.provisioner().checkContainers(t.Context())
	if len(rows) != 1 || rows[0].State != StateOptional || !strings.Contains(rows[0].Remedy, "install Docker Engine") {
		t.Errorf("%+v", rows)
	}
}

func TestDoctorOfContainers(t *testing.T) {
	c := newCheckout(t)
	c.env["PATH"] = withProgram(t, "docker")
	c.runner = tooltest.New(t, tooltest.Stub{Program: "docker", Args: []string{"info"}, Output: text(0, infoServes)})
	rows := c.provisioner().checkContainers(t.Context())
	if len(rows) != 2 || rows[0].State != StateOK || rows[0].Version != "28.5.1" || rows[1].State != StateOK || !strings.Contains(rows[1].Note, ownBuilder) {
		t.Errorf("%+v", rows)
	}
	c.runner = tooltest.New(t, tooltest.Stub{Program: "docker", Args: []string{"info"}, Output: text(1, infoDown)})
	rows = c.provisioner().checkContainers(t.Context())
	if len(rows) != 1 || rows[0].State != StateOptional || !strings.Contains(rows[0].Note, "does not answer") || !strings.Contains(rows[0].Remedy, "systemctl start docker") {
		t.Errorf("%+v", rows)
	}
}

// withProgram makes a PATH on which there is nothing but this one program.
func withProgram(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
