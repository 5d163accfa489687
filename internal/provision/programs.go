package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// serverPrograms is a directory with initdb and postgres in it.
type serverPrograms struct {
	dir     string
	version string // "15.14"
}

// findServerPrograms looks for server programs of the wanted major version on the machine, and says where it looked
// in vain. METER_POSTGRES_BIN is for nothing but this, so what it names must be right.
func (p *Provisioner) findServerPrograms(ctx context.Context) (serverPrograms, []string, error) {
	major := p.project.Postgres.Version
	if dir := p.env["METER_POSTGRES_BIN"]; dir != "" {
		found, err := p.checkPrograms(ctx, dir)
		if err != nil {
			return serverPrograms{}, nil, fmt.Errorf("use METER_POSTGRES_BIN=%s: %w: name the directory of initdb and postgres of PostgreSQL %s, or unset it", dir, err, major)
		}
		return found, nil, nil
	}
	var passed []string
	for _, dir := range p.programDirs() {
		found, err := p.checkPrograms(ctx, dir)
		if err == nil {
			return found, nil, nil
		}
		passed = append(passed, fmt.Sprintf("%s: %v", dir, err))
	}
	if passed == nil {
		passed = []string{"there are no server programs on this machine"}
	}
	return serverPrograms{}, passed, nil
}

// programDirs are the directories that hold server programs of any version: those on PATH, then those where
// distributions put them, the wanted version's first.
func (p *Provisioner) programDirs() []string {
	var dirs []string
	add := func(path string) {
		resolved, err := filepath.EvalSymlinks(path) // initdb looks for postgres beside itself
		if err != nil {
			return
		}
		if dir := filepath.Dir(resolved); !slices.Contains(dirs, dir) && executable(filepath.Join(dir, "initdb")) {
			dirs = append(dirs, dir)
		}
	}
	for _, path := range p.env.lookPaths("postgres") {
		add(path)
	}
	for _, pattern := range p.places {
		paths, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, path := range paths {
			add(path)
		}
	}
	return dirs
}

func programPatterns(goos, major string) []string {
	if goos == "darwin" {
		return []string{
			"/opt/homebrew/opt/postgresql@" + major + "/bin/postgres",
			"/usr/local/opt/postgresql@" + major + "/bin/postgres",
			"/Applications/Postgres.app/Contents/Versions/" + major + "/bin/postgres",
			"/opt/local/lib/postgresql" + major + "/bin/postgres",
			"/opt/homebrew/opt/postgresql*/bin/postgres",
			"/usr/local/opt/postgresql*/bin/postgres",
		}
	}
	return []string{
		"/usr/lib/postgresql/" + major + "/bin/postgres",
		"/usr/pgsql-" + major + "/bin/postgres",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@" + major + "/bin/postgres",
		"/usr/lib/postgresql/*/bin/postgres",
		"/usr/libexec/postgresql" + major + "/postgres",
	}
}

// checkPrograms asks the programs for their version, and whether the server's user can run them.
func (p *Provisioner) checkPrograms(ctx context.Context, dir string) (serverPrograms, error) {
	if !filepath.IsAbs(dir) {
		return serverPrograms{}, errors.New("it is not an absolute path")
	}
	for _, name := range []string{"initdb", "postgres"} {
		if !executable(filepath.Join(dir, name)) {
			return serverPrograms{}, fmt.Errorf("there is no %s", name)
		}
	}
	account, err := serverAccount()
	if err != nil {
		return serverPrograms{}, err
	}
	if err := account.canReach(dir); err != nil {
		return serverPrograms{}, err
	}
	out, err := p.run(ctx, engine.Invocation{Program: filepath.Join(dir, "postgres"), Args: []string{"--version"}})
	if err != nil {
		return serverPrograms{}, err
	}
	version, major, ok := parseServerVersion(string(out.Stdout))
	if !ok {
		return serverPrograms{}, errors.New("postgres does not say its version")
	}
	if major != p.project.Postgres.Version {
		return serverPrograms{}, fmt.Errorf("PostgreSQL %s, and %s is wanted", version, p.project.Postgres.Version)
	}
	return serverPrograms{dir, version}, nil
}

// parseServerVersion reads "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)".
func parseServerVersion(text string) (version, major string, ok bool) {
	m := regexp.MustCompile(`\(PostgreSQL\) ((\d+)[0-9.]*\w*)`).FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}
