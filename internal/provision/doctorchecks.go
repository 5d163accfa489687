package provision

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	littleDisk = 5 << 30 // bytes: an environment, the server's data and the reports need about three
	noDisk     = 1 << 30
)

func (p *Provisioner) checkGo(ctx context.Context) []Row {
	row := Row{Need: "Go", State: StateOK}
	path, ok := p.env.lookPath("go")
	if !ok {
		row.State, row.Note = StateWarning, "not on PATH; it builds the secret scanner, once"
		row.Remedy = "install Go from go.dev/dl, and have its bin directory on PATH"
		return []Row{row}
	}
	row.Where = path
	text, err := p.ask(ctx, path, "version")
	if err != nil {
		row.State, row.Note, row.Remedy = StateMissing, err.Error(), "install Go anew from go.dev/dl"
		return []Row{row}
	}
	row.Version = match(text, `go version go(\S+)`)
	return []Row{row}
}

// checkGit looks at git, and whether the history is whole: the secret scan reads every commit.
func (p *Provisioner) checkGit(ctx context.Context) []Row {
	row := Row{Need: "git", State: StateOK}
	path, ok := p.env.lookPath("git")
	if !ok {
		row.State, row.Note, row.Remedy = StateMissing, "not on PATH", "on Debian `sudo apt-get install git`, on macOS `xcode-select --install`"
		return []Row{row}
	}
	row.Where = path
	text, err := p.ask(ctx, path, "--version")
	if err != nil {
		row.State, row.Note, row.Remedy = StateMissing, err.Error(), "install git anew"
		return []Row{row}
	}
	row.Version = match(text, `git version (\S+)`)
	history := Row{Need: "git history", State: StateOK, Where: p.root, Note: "complete"}
	shallow, err := p.ask(ctx, path, "rev-parse", "--is-shallow-repository")
	switch {
	case err != nil:
		history.State, history.Note = StateWarning, "there is no repository here, so no history to scan for secrets: "+err.Error()
		history.Remedy = "work in a clone, or run `git init`"
	case shallow == "true":
		history.State, history.Note = StateWarning, "a shallow clone: the secret scan does not see the commits that are missing"
		history.Remedy = "git fetch --unshallow"
	}
	return []Row{row, history}
}

func (p *Provisioner) rowUV(tool uvTool) Row {
	if tool.path == "" {
		return Row{
			Need: "uv", State: StateSetup, Note: "`mage setup` installs an own copy into .pipeline/tools",
			Remedy: "mage setup, or install uv yourself and have it on PATH",
		}
	}
	return Row{Need: "uv", State: StateOK, Version: tool.version, Where: tool.path, Note: "from " + tool.origin}
}

// checkPython finds the Python that environments are made with, as uv does, but downloads none.
func (p *Provisioner) checkPython(ctx context.Context, uv uvTool) []Row {
	wanted := p.project.Python.Version
	row := Row{Need: "Python " + wanted, State: StateOK}
	var err error
	if uv.path != "" {
		row.Where, err = p.ask(ctx, uv.path, "python", "find", "--no-python-downloads", "--no-project", "--system", wanted)
	} else if path, ok := p.env.lookPath("python" + wanted); ok {
		row.Where = path
	}
	if err == nil && row.Where != "" {
		var text string
		if text, err = p.ask(ctx, row.Where, "--version"); err == nil {
			row.Version = match(text, `Python (\S+)`)
			return []Row{row}
		}
	}
	row.State, row.Where, row.Remedy = StateSetup, "", installPython(wanted)
	row.Note = "not on this machine; uv downloads it, if there is a network"
	return []Row{row}
}

func (p *Provisioner) checkEnvironments() []Row {
	specs, err := p.pythonSpecs()
	if err != nil {
		return []Row{{Need: "environments", State: StateMissing, Note: err.Error(), Remedy: "correct python in pipeline.yaml"}}
	}
	var rows []Row
	for _, spec := range specs {
		row := Row{Need: "environment " + spec.shown, State: StateOK, Where: spec.dir}
		state, made, reason := inspect(spec)
		switch _, err := os.Stat(spec.requirements); {
		case err != nil:
			row.State, row.Note = StateMissing, "its requirements can't be read: "+err.Error()
			row.Remedy = "restore " + spec.shownReqs + ", or name another file under python in pipeline.yaml"
		case state == current:
			row.Version = made.Interpreter.Version
			row.Note = fmt.Sprintf("current: %d packages of %s", made.Count, spec.shownReqs)
		default:
			row.State, row.Note, row.Remedy = StateSetup, reason, "mage setup, or any run that needs it"
		}
		rows = append(rows, row)
	}
	return rows
}

// checkPostgres looks at the servers in the order in which a run would take them, up to the first that serves.
func (p *Provisioner) checkPostgres(ctx context.Context) []Row {
	wanted := p.project.Postgres.Version
	var rows []Row
	if address := p.env["DATABASE_URL"]; address != "" {
		row := p.checkExternal(ctx, address)
		rows = append(rows, row)
		if row.State != StateMissing {
			return rows
		}
		rows[0].State = StateWarning // the next one serves, perhaps
	}
	row := Row{Need: "PostgreSQL " + wanted, State: StateOK}
	found, passed, err := p.findServerPrograms(ctx)
	build, downloadable := p.wantedBuild()
	switch {
	case err != nil:
		row.State, row.Note, row.Remedy = StateMissing, err.Error(), "correct METER_POSTGRES_BIN"
	case found.dir != "":
		row.Version, row.Where, row.Note = found.version, found.dir, "server programs of this machine"
	case downloadable:
		row.Where = p.downloaded(build)
		row.Version, row.Note = build.version, "downloaded"
		if row.Where == "" {
			row.State, row.Version = StateSetup, ""
			row.Note = "not on this machine; `mage setup` downloads " + build.version
			row.Remedy = "mage setup; or " + p.installPostgres()
		}
	default:
		row.State, row.Note, row.Remedy = StateMissing, strings.Join(passed, "; "), p.installPostgres()
	}
	return append(rows, row)
}

// downloaded is where a build was downloaded to, if it was.
func (p *Provisioner) downloaded(b build) string {
	cache, err := p.serverCache()
	if err != nil {
		return ""
	}
	dir := filepath.Join(cache, b.name(), "bin")
	if !executable(filepath.Join(dir, "postgres")) {
		return ""
	}
	return dir
}

func (p *Provisioner) checkExternal(ctx context.Context, address string) Row {
	row := Row{Need: "DATABASE_URL", State: StateOK}
	fail := func(err error) Row {
		row.State, row.Note, row.Remedy = StateMissing, "does not serve: "+err.Error(), "correct or unset DATABASE_URL"
		return row
	}
	base, err := parseDatabaseURL(address)
	if err != nil {
		return fail(err)
	}
	row.Where = base.Host
	a, err := connectAdmin(ctx, base)
	if err != nil {
		return fail(err)
	}
	defer a.close(ctx)
	rights, err := a.rights(ctx)
	if err != nil {
		return fail(err)
	}
	row.Version = rights.version
	if rights.major != p.project.Postgres.Version {
		row.State, row.Note = StateWarning, "PostgreSQL "+p.project.Postgres.Version+" is wanted"
		row.Remedy = "set DATABASE_URL to a server of that version, or unset it"
	}
	return row
}

func (p *Provisioner) checkGitleaks() Row {
	row := Row{Need: "gitleaks"}
	tool, err := p.wanted(gitleaksSource())
	if err != nil {
		row.State, row.Note, row.Remedy = StateMissing, err.Error(), "restore "+gitleaksSource().module
		return row
	}
	row.Version = strings.TrimPrefix(tool.version, "v")
	if executable(filepath.Join(tool.dir, "gitleaks")) {
		row.State, row.Where = StateOK, tool.dir
		return row
	}
	row.State, row.Note, row.Remedy = StateSetup, "not built yet; `mage setup` builds it, about two minutes", "mage setup"
	return row
}

func (p *Provisioner) checkDisk() []Row {
	var rows []Row
	places := map[string]string{"disk": p.root}
	if dirs := p.tempDirs(); len(dirs) > 0 {
		places["temporary disk"] = dirs[0]
	}
	for _, need := range []string{"disk", "temporary disk"} {
		row := Row{Need: need, State: StateOK, Where: places[need]}
		var stat unix.Statfs_t
		if err := unix.Statfs(row.Where, &stat); err != nil {
			row.State, row.Note = StateWarning, "can't be asked: "+err.Error()
			rows = append(rows, row)
			continue
		}
		free := stat.Bavail * uint64(stat.Bsize) //nolint:gosec // a block has a positive size; its type depends on the system
		row.Note = fmt.Sprintf("%.1f GB free", float64(free)/1e9)
		switch {
		case free < noDisk:
			row.State, row.Remedy = StateMissing, "make room on this disk"
		case free < littleDisk:
			row.State, row.Remedy = StateWarning, "make room on this disk"
		}
		rows = append(rows, row)
	}
	return rows
}

// checkContainers looks for what the image and deploy stages need: a container engine, and buildx with its builder.
func (p *Provisioner) checkContainers(ctx context.Context) []Row {
	const note = "; images and deploys need it, `mage check` does not"
	row := Row{Need: "container engine", State: StateOptional}
	row.Where, _ = p.env.lookPath("docker")
	info, err := p.askEngine(ctx)
	if err != nil {
		reason, remedy, _ := strings.Cut(err.Error(), ": ")
		row.Note, row.Remedy = reason+note, remedy
		return []Row{row}
	}
	row.State, row.Version, row.Note = StateOK, info.ServerVersion, "docker"
	buildx := Row{Need: "docker buildx", State: StateOK, Where: info.plugin("buildx")}
	if buildx.Where == "" {
		tool, err := p.wanted(buildxSource())
		buildx.Where, buildx.Version = tool.dir, tool.version
		switch {
		case err != nil:
			return []Row{row, {Need: buildx.Need, State: StateOptional, Note: err.Error() + note, Remedy: "install docker-buildx-plugin"}}
		case !executable(filepath.Join(tool.dir, buildxSource().program)):
			return []Row{row, {Need: buildx.Need, State: StateOptional, Note: "the first build of an image compiles " + tool.version, Remedy: "or install docker-buildx-plugin"}}
		}
	}
	builder := p.env["METER_BUILDER"]
	if builder == "" {
		builder = p.project.Image.Builder
	}
	if builder == "" {
		builder = ownBuilder + ", which the first build makes if it is not there"
	}
	buildx.Note = "with the builder " + builder
	return []Row{row, buildx}
}

func match(text, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
