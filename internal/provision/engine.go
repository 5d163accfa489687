package provision

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Needs for which nobody but tests of this repository asks by these names.
const (
	NeedBuildx    engine.Need = "buildx"    // docker buildx, built from source
	NeedBuildkitd engine.Need = "buildkitd" // BuildKit's server, built from source
	NeedCompose   engine.Need = "compose"   // docker compose, built from source
)

const (
	// ownBuilder is made where no builder is named. It runs in a container of its own.
	ownBuilder  = "meter-pipeline"
	installHelp = "install Docker Engine or Docker Desktop from docs.docker.com/get-docker, or on Debian `sudo apt-get install docker.io`"
	builderHelp = "name one that serves in METER_BUILDER or in image.builder of pipeline.yaml; `docker buildx create` makes one, `docker buildx ls` lists them"
)

// buildxSource is docker buildx. Run by this name it is a program of its own, and needs no plug-in directory.
func buildxSource() toolSource {
	const module = "github.com/docker/buildx"
	return toolSource{
		program: "docker-buildx", module: "tools/buildx", pins: module, command: module + "/cmd/buildx",
		version: module + "/version.Version", takes: "six minutes",
	}
}

func buildkitdSource() toolSource {
	const module = "github.com/moby/buildkit"
	return toolSource{
		program: "buildkitd", module: "tools/buildkit", pins: module, command: module + "/cmd/buildkitd",
		version: module + "/version.Version", takes: "a minute",
	}
}

func composeSource() toolSource {
	const module = "github.com/docker/compose/v2"
	return toolSource{
		program: "docker-compose", module: "tools/compose", pins: module, command: module + "/cmd",
		version: module + "/internal.Version", takes: "two minutes",
	}
}

// containers is what builds images and runs containers.
type containers struct {
	server  string // version of the engine
	buildx  string // directory of docker-buildx
	builder string // by name
	detail  string
}

// provideEngine finds client, engine, buildx and a builder. The programs are docker, from PATH, and docker-buildx; the
// builder is the one that BUILDX_BUILDER names.
func (p *Provisioner) provideEngine(ctx context.Context, say func(string)) (engine.Provision, error) {
	found, err := p.containers.get(ctx, func(ctx context.Context) (containers, error) {
		found, err := p.findEngine(ctx, say)
		if err != nil {
			return found, err
		}
		return p.findBuilder(ctx, found, say)
	})
	if err != nil {
		return engine.Provision{}, err
	}
	return engine.Provision{Programs: found.buildx, Env: map[string]string{"BUILDX_BUILDER": found.builder}, Detail: found.detail}, nil
}

// engineInfo is what is read of `docker info`.
type engineInfo struct {
	ServerVersion string
	ServerErrors  []string
	ClientInfo    struct {
		Plugins []struct{ Name, Path string }
	}
}

// plugin is the directory of an installed plug-in of the client.
func (i engineInfo) plugin(name string) string {
	for _, plugin := range i.ClientInfo.Plugins {
		if plugin.Name == name && filepath.IsAbs(plugin.Path) && filepath.Base(plugin.Path) == "docker-"+name {
			return filepath.Dir(plugin.Path)
		}
	}
	return ""
}

// askEngine asks the client for itself and for the engine.
func (p *Provisioner) askEngine(ctx context.Context) (engineInfo, error) {
	var info engineInfo
	path, ok := p.env.lookPath("docker")
	if !ok {
		return info, errors.New("there is no docker on PATH: " + installHelp)
	}
	out, err := p.runner.Run(ctx, engine.Invocation{Program: path, Args: []string{"info", "--format", "{{json .}}"}, Dir: p.root, Env: p.env.list()})
	if err != nil {
		return info, err
	}
	// An engine that does not answer is an exit code of 1, and in the document all the same.
	if err := json.Unmarshal(bytes.TrimSpace(out.Stdout), &info); err != nil {
		return info, fmt.Errorf("ask docker for its engine: exit code %d: %s: %s", out.ExitCode, lastWords(out, 2), installHelp)
	}
	if info.ServerVersion == "" {
		return info, fmt.Errorf("the container engine does not answer: %s: start it (`sudo systemctl start docker`, or Docker Desktop), "+
			"and be allowed to use it (group docker); DOCKER_HOST or a docker context names another one", cmp.Or(strings.Join(info.ServerErrors, "; "), lastWords(out, 1)))
	}
	return info, nil
}

func (p *Provisioner) findEngine(ctx context.Context, say func(string)) (containers, error) {
	info, err := p.askEngine(ctx)
	if err != nil {
		return containers{}, err
	}
	found := containers{server: info.ServerVersion, buildx: info.plugin("buildx")}
	if found.buildx == "" {
		tool, err := p.needBuilt(ctx, buildxSource(), say)
		if err != nil {
			return found, fmt.Errorf("docker has no plug-in buildx, and it can't be built: %w: install docker-buildx-plugin, as docs.docker.com/build says", err)
		}
		found.buildx = tool.dir
	}
	return found, nil
}

// findBuilder takes the builder that is named, else our own, which is made if it is not there.
func (p *Provisioner) findBuilder(ctx context.Context, found containers, say func(string)) (containers, error) {
	program := filepath.Join(found.buildx, buildxSource().program)
	named := p.env["METER_BUILDER"]
	if named == "" {
		named = p.project.Image.Builder
	}
	found.builder = named
	if named == "" {
		found.builder = ownBuilder
		if _, err := p.run(ctx, engine.Invocation{Program: program, Args: []string{"inspect", ownBuilder}}); err != nil {
			say("making the builder " + ownBuilder + ", in a container of its own")
			_, err := p.run(ctx, engine.Invocation{Program: program, Args: []string{"create", "--name", ownBuilder, "--driver", "docker-container"}})
			if err != nil {
				return found, fmt.Errorf("make a builder: %w: %s", err, builderHelp)
			}
		}
	}
	out, err := p.run(ctx, engine.Invocation{Program: program, Args: []string{"inspect", "--bootstrap", found.builder}})
	if err != nil {
		return found, fmt.Errorf("look at builder %s: %w: %s", found.builder, err, builderHelp)
	}
	about := builderFields(string(out.Stdout))
	switch {
	case about["Driver"] == "docker":
		return found, fmt.Errorf("the builder %s is the engine's own, which can't write images to disk: %s", found.builder, builderHelp)
	case about["Status"] != "running":
		return found, fmt.Errorf("the builder %s does not serve (%s): %s", found.builder, strings.TrimSpace(about["Status"]+" "+about["Error"]), builderHelp)
	}
	found.detail = fmt.Sprintf("engine %s, builder %s (%s, BuildKit %s)", found.server, found.builder, about["Driver"], about["BuildKit version"])
	return found, nil
}

// builderFields reads `docker buildx inspect`: the first value of each name, since the first node is what builds.
func builderFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		if _, known := fields[name]; ok && !known {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}
