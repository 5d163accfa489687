package provision

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// query runs a statement as a step's program would, and returns the first value.
func query(t *testing.T, address, statement string) (string, error) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	result := conn.ExecParams(t.Context(), statement, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return "", result.Err
	}
	if len(result.Rows) == 0 {
		return "", nil
	}
	return string(result.Rows[0][0]), nil
}

func mustQuery(t *testing.T, address, statement string) string {
	t.Helper()
	value, err := query(t, address, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

func TestPostgresGivesEachAskerADatabase(t *testing.T) {
	c := newCheckout(t)
	p := c.provisioner()
	one, two := c.provide(p, engine.NeedPostgres), c.provide(p, engine.NeedPostgres)
	first, second := one.Env["DATABASE_URL"], two.Env["DATABASE_URL"]

	for _, check := range []struct{ statement, want string }{
		{"SELECT current_setting('server_version_num')::int / 10000", "15"},
		{"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "0"},
		{"SHOW fsync", "off"},
		{"SHOW synchronous_commit", "off"},
		{"SHOW full_page_writes", "off"},
		{"SHOW listen_addresses", "127.0.0.1"},
		{"SHOW server_encoding", "UTF8"},
		{"SHOW password_encryption", "scram-sha-256"},
		{"SHOW timezone", "UTC"},
		{"SELECT current_database() ~ '^meter_test_[0-9]+_[0-9]+_[0-9a-f]{6}$'", "t"},
	} {
		if got := mustQuery(t, first, check.statement); got != check.want {
			t.Errorf("%s = %q, want %q", check.statement, got, check.want)
		}
	}
	mustQuery(t, first, "CREATE TABLE readings (units float)")
	if got := mustQuery(t, second, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
		t.Errorf("the second database has %s tables, want none", got)
	}
	if len(one.Secrets) == 0 || !strings.Contains(first, one.Secrets[0]) {
		t.Error("the password is not declared as a secret")
	}
	if strings.Contains(one.Detail, one.Secrets[0]) {
		t.Error("the detail shows the password")
	}
}

func TestPostgresRefusesWhoHasNoPassword(t *testing.T) {
	base, err := parseDatabaseURL(sharedServer(t))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := base.User.Password()
	wrong := strings.Replace(base.String(), password, "guessed", 1)
	if _, err := query(t, wrong, "SELECT 1"); err == nil {
		t.Error("a wrong password is let in")
	}
}

func TestPostgresDropsOnRelease(t *testing.T) {
	c := newCheckout(t)
	p := c.provisioner()
	kept, released := c.provide(p, engine.NeedPostgres), c.provide(p, engine.NeedPostgres)
	address := released.Env["DATABASE_URL"]
	conn, err := pgconn.Connect(t.Context(), address) // somebody who forgets to disconnect
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := released.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, address, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("after the release: %v, want that the database does not exist", err)
	}
	mustQuery(t, kept.Env["DATABASE_URL"], "SELECT 1")
}

func TestCloseEndsTheServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		ctx  func() context.Context
	}{
		{"in peace", context.Background},
		{"on a cancelled context", func() context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			p := c.provisioner()
			provision := c.provide(p, engine.NeedPostgres)
			cluster := p.clusters[0]
			pid, alive := postmaster(cluster.data)
			if !alive {
				t.Fatal("the server process is not found")
			}
			conn, err := pgconn.Connect(t.Context(), provision.Env["DATABASE_URL"])
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.Background()) }()
			if err := p.Close(test.ctx()); err != nil {
				t.Fatal(err)
			}
			if _, alive := processStart(pid); alive {
				t.Error("the server still runs")
			}
			if exists(cluster.dir) {
				t.Error("its data is still there")
			}
			if _, err := p.Provide(t.Context(), engine.NeedPostgres, nil); err == nil {
				t.Error("a closed provisioner still provides")
			}
		})
	}
}

func TestPostgresRunsAsAnotherUserThanRoot(t *testing.T) {
	c := newCheckout(t)
	p := c.provisioner()
	c.provide(p, engine.NeedPostgres)
	pid, _ := postmaster(p.clusters[0].data)
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return // no /proc here; the server itself refuses root, and this test has just used it
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid == 0 {
		t.Error("the server runs as root")
	}
}

func databases(t *testing.T, address string) string {
	t.Helper()
	return mustQuery(t, address, "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate")
}

func TestDatabaseURLComesFirst(t *testing.T) {
	address := sharedServer(t)
	mustQuery(t, address, "CREATE DATABASE production")
	before := databases(t, address)

	c := newCheckout(t)
	c.env["DATABASE_URL"] = strings.Replace(address, "/postgres?", "/production?", 1)
	p := c.provisioner()
	provision := c.provide(p, engine.NeedPostgres)
	if !strings.Contains(provision.Detail, "of DATABASE_URL") || len(p.clusters) > 0 {
		t.Errorf("it is served by %s", provision.Detail)
	}
	if name := mustQuery(t, provision.Env["DATABASE_URL"], "SELECT current_database()"); !databasePattern().MatchString(name) {
		t.Errorf("the step is given the database %q", name)
	}
	if err := provision.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.provide(p, engine.NeedPostgres) // never given back
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := databases(t, address); after != before {
		t.Errorf("databases are %q, and were %q", after, before)
	}
}

func TestDatabaseURLThatDoesNotServe(t *testing.T) {
	address := sharedServer(t)
	mustQuery(t, address, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
	base, _ := parseDatabaseURL(address)
	for _, test := range []struct{ name, url, want string }{
		{"unreachable", "postgresql://someone:hunter2@127.0.0.1:1/x", "connect"},
		{"no address", "host=localhost password=hunter2", "it is no address"},
		{"no address at all", "://hunter2", "it is no address"},
		{"bad option", "postgresql://meter:hunter2@" + base.Host + "/x?sslmode=perhaps", "it is no valid address"},
		{"wrong password", "postgresql://meter:hunter2@" + base.Host + "/postgres", "connect"},
		{"no such database", strings.Replace(address, "/postgres?", "/hunter3?", 1), ""}, // it is never asked for
		{"may not create databases", "postgresql://guest:guest@" + base.Host + "/postgres?sslmode=disable", "may not create databases"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			_, err := c.provisioner().openExternal(t.Context(), test.url, c.say)
			if test.want == "" && err == nil {
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestDatabaseURLThatDoesNotServeIsSaidAndPassedOver(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	c.env["DATABASE_URL"] = "postgresql://someone:hunter2@127.0.0.1:1/x"
	p := c.provisioner()
	if provision := c.provide(p, engine.NeedPostgres); len(p.clusters) != 1 {
		t.Errorf("it is served by %s", provision.Detail)
	}
	if !c.heard("DATABASE_URL does not serve: connect") || c.heard("hunter2") {
		t.Errorf("said %q", c.said)
	}
}

func TestSweepOfDatabasesTakesOnlyWhatNobodyHolds(t *testing.T) {
	address := sharedServer(t)
	held := newCheckout(t)
	held.env["DATABASE_URL"] = address
	living := held.provide(held.provisioner(), engine.NeedPostgres)
	livingName := mustQuery(t, living.Env["DATABASE_URL"], "SELECT current_database()")
	for _, name := range []string{
		"meter_test_1700000000_4242_abcdef", "meter_test_1700000000_4242_abcdef_gw0_1", // a killed run's
		livingName + "_gw1",                               // of a worker of the living one
		"meter_test_of_mine", "meter_testing", "metering", // not ours
	} {
		mustQuery(t, address, "CREATE DATABASE "+quoteName(name))
	}
	c := newCheckout(t)
	c.env["DATABASE_URL"] = address
	c.provide(c.provisioner(), engine.NeedPostgres)
	if !c.heard("dropped what an earlier run left", "meter_test_1700000000_4242_abcdef", "abcdef_gw0_1") {
		t.Errorf("said %q", c.said)
	}
	after := databases(t, address)
	for _, name := range []string{livingName, livingName + "_gw1", "meter_test_of_mine", "meter_testing", "metering"} {
		if !strings.Contains(" "+after+" ", " "+name+" ") {
			t.Errorf("%s is gone", name)
		}
	}
	if strings.Contains(after, "4242") {
		t.Errorf("the killed run's are still there: %s", after)
	}
}

func TestLostSessionTakesItsLocksAgain(t *testing.T) {
	address := sharedServer(t)
	c := newCheckout(t)
	c.env["DATABASE_URL"] = address
	p := c.provisioner()
	first := c.provide(p, engine.NeedPostgres)
	mustQuery(t, address, fmt.Sprintf("SELECT pg_terminate_backend(%d)", p.admins[0].conn.PID()))
	_, _ = p.admins[0].exec(t.Context(), "SELECT 1") // notices that it is gone
	c.provide(p, engine.NeedPostgres)

	other := newCheckout(t)
	other.env["DATABASE_URL"] = address
	other.provide(other.provisioner(), engine.NeedPostgres)
	mustQuery(t, first.Env["DATABASE_URL"], "SELECT 1")
}
