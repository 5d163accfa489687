package provision

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// oldestServer is the first major version that a server of DATABASE_URL may have.
const oldestServer = 15

// A server is the PostgreSQL that this run's databases are on.
type server struct {
	admin  *admin
	detail string
	log    string // file that it logs to; empty if it is somebody else's
}

// providePostgres hands out a database of its own. The server is shared by all steps of the run.
func (p *Provisioner) providePostgres(ctx context.Context, say func(string)) (engine.Provision, error) {
	server, err := p.server.get(ctx, func(ctx context.Context) (*server, error) { return p.openServer(ctx, say) })
	if err != nil {
		return engine.Provision{}, err
	}
	p.mu.Lock()
	name, err := databaseName(p.now(), p.random)
	p.mu.Unlock()
	if err != nil {
		return engine.Provision{}, err
	}
	address, err := server.admin.create(ctx, name)
	if err != nil {
		return engine.Provision{}, fmt.Errorf("%w (%s)", err, server.detail)
	}
	env := map[string]string{"DATABASE_URL": address}
	if server.log != "" {
		env["METER_POSTGRES_LOG"] = server.log
	}
	return engine.Provision{
		Env:     env,
		Secrets: server.admin.secrets(),
		Detail:  server.detail,
		Release: func(ctx context.Context) error { return server.admin.drop(ctx, name) },
	}, nil
}

// provideLabelled hands out the one database of a label: what one step stores, a later one finds. Close drops it.
func (p *Provisioner) provideLabelled(ctx context.Context, label string, say func(string)) (engine.Provision, error) {
	p.mu.Lock()
	made, ok := p.labelled[label]
	if !ok {
		made = newShared[engine.Provision]()
		p.labelled[label] = made
	}
	p.mu.Unlock()
	return made.get(ctx, func(ctx context.Context) (engine.Provision, error) {
		provision, err := p.providePostgres(ctx, say)
		provision.Release = nil
		return provision, err
	})
}

// openServer takes the first server that serves, and says of each that does not, why.
func (p *Provisioner) openServer(ctx context.Context, say func(string)) (*server, error) {
	var passed []string
	pass := func(what string, err error) {
		passed = append(passed, what+": "+err.Error())
		say(what + " does not serve: " + err.Error())
	}
	p.saySwept(ctx, say)
	if address := p.env["DATABASE_URL"]; address != "" {
		s, err := p.openExternal(ctx, address, say)
		if err == nil {
			return s, nil
		}
		pass("DATABASE_URL", err)
	}
	programs, where, err := p.findServerPrograms(ctx)
	if err != nil {
		return nil, err
	}
	if programs.dir != "" {
		s, err := p.openCluster(ctx, programs, say)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		pass("PostgreSQL of "+programs.dir, err)
	}
	passed = append(passed, where...)
	if programs, err = p.fetchServerPrograms(ctx, say); err == nil {
		var s *server
		if s, err = p.openCluster(ctx, programs, say); err == nil {
			return s, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	passed = append(passed, "PostgreSQL to be downloaded: "+err.Error())
	return nil, fmt.Errorf("find a PostgreSQL %s: %s: %s", p.project.Postgres.Version, strings.Join(passed, "; "), p.installPostgres())
}

// openExternal uses the server that DATABASE_URL names. Only databases of our own are made on it; the named one is
// never touched.
func (p *Provisioner) openExternal(ctx context.Context, address string, say func(string)) (*server, error) {
	base, err := parseDatabaseURL(address)
	if err != nil {
		return nil, err
	}
	a, err := connectAdmin(ctx, base)
	if err != nil {
		return nil, err
	}
	rights, err := a.rights(ctx)
	if err == nil {
		err = p.keepAdmin(a)
	}
	if err != nil {
		a.close(ctx)
		return nil, err
	}
	swept, err := a.sweep(ctx)
	if err != nil {
		say("databases that an earlier run left could not all be dropped: " + err.Error())
	}
	if len(swept) > 0 {
		say("dropped what an earlier run left: " + strings.Join(swept, ", "))
	}
	detail := fmt.Sprintf("PostgreSQL %s of DATABASE_URL, %s", rights.version, base.Host)
	if wanted := p.project.Postgres.Version; rights.major != wanted {
		detail += fmt.Sprintf(", although %s is wanted", wanted)
		say(fmt.Sprintf("warning: the server of DATABASE_URL is PostgreSQL %s, and %s is wanted", rights.version, wanted))
	}
	return &server{admin: a, detail: detail}, nil
}

// parseDatabaseURL reads an address as SQLAlchemy or libpq writes it. Its errors never quote it: it holds a password.
func parseDatabaseURL(address string) (*url.URL, error) {
	const form = "it is no address like postgresql://user:password@host:5432/name"
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, errors.New(form)
	}
	scheme, _, _ := strings.Cut(parsed.Scheme, "+") // postgresql+psycopg
	if scheme != "postgres" && scheme != "postgresql" || parsed.Opaque != "" {
		return nil, errors.New(form)
	}
	parsed.Scheme = "postgresql"
	return parsed, nil
}

// openCluster starts a server of our own.
func (p *Provisioner) openCluster(ctx context.Context, programs serverPrograms, say func(string)) (*server, error) {
	say("starting PostgreSQL " + programs.version)
	c, err := p.startCluster(ctx, programs)
	if err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("PostgreSQL %s of %s", programs.version, programs.dir)
	return &server{admin: c.admin, detail: detail, log: filepath.Join(c.dir, serverLog)}, nil
}

// secrets are what of the address nothing may show.
func (a *admin) secrets() []string {
	password, ok := a.base.User.Password()
	if !ok || password == "" {
		return nil
	}
	return []string{password, url.QueryEscape(password)}
}

// keepAdmin hands a session to Close.
func (p *Provisioner) keepAdmin(a *admin) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.admins = append(p.admins, a)
	return nil
}

// installPostgres is what to do where no PostgreSQL can be had.
func (p *Provisioner) installPostgres() string {
	return fmt.Sprintf("install its server programs (Debian `sudo apt-get install postgresql-%[1]s`, macOS `brew install postgresql@%[1]s`), "+
		"name their directory in METER_POSTGRES_BIN, or set DATABASE_URL to a server on which you may create databases", p.project.Postgres.Version)
}
