package provision

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if got != string(want) {
		t.Errorf("%s is another; it is now:\n%s", path, got)
	}
}

func TestTable(t *testing.T) {
	rows := []Row{
		{Need: "Go", State: StateOK, Version: "1.26.8", Where: "/usr/local/go/bin/go"},
		{Need: "git history", State: StateWarning, Where: "/home/anna/Zählerstände", Note: "a shallow clone: the secret scan does not see the commits that are missing", Remedy: "git fetch --unshallow"},
		{Need: "uv", State: StateSetup, Note: "`mage setup` installs an own copy into .pipeline/tools", Remedy: "mage setup, or install uv yourself and have it on PATH"},
		{Need: "environment .venv", State: StateOK, Version: "3.11.7", Where: "/home/anna/Zählerstände/.venv", Note: "current: 143 packages of requirements/dev.txt", Remedy: "not shown"},
		{Need: "PostgreSQL 15", State: StateMissing, Note: "/usr/lib/postgresql/14/bin: PostgreSQL 14.9, and 15 is wanted", Remedy: installPython("3.11")},
		{Need: "container engine", State: StateOptional, Note: "none; images and deploys need one, `mage check` does not"},
	}
	golden(t, "doctor.txt", Table(rows, 100))
	golden(t, "doctor-narrow.txt", Table(rows, 60))
}

func TestConclusionAndHealth(t *testing.T) {
	row := func(states ...State) (rows []Row) {
		for _, state := range states {
			rows = append(rows, Row{State: state})
		}
		return rows
	}
	for _, test := range []struct {
		rows    []Row
		healthy bool
		want    string
	}{
		{row(StateOK, StateOK), true, "Everything is there."},
		{row(StateOK, StateOptional), true, "Everything is there."},
		{row(StateOK, StateWarning), true, "Nothing is missing."},
		{row(StateSetup, StateWarning), true, "Nothing is missing. 1 of 2 needs are made by `mage setup`, or by the first run."},
		{row(StateSetup, StateMissing), false, "1 of 2 needs are missing: do what stands beside each, then run `mage doctor` again."},
	} {
		if got := conclusion(test.rows); got != test.want || Healthy(test.rows) != test.healthy {
			t.Errorf("%v: %q, %v", test.rows, got, Healthy(test.rows))
		}
	}
}

func find(t *testing.T, rows []Row, need string) Row {
	t.Helper()
	at := slices.IndexFunc(rows, func(row Row) bool { return row.Need == need })
	if at < 0 {
		t.Fatalf("there is no row for %s in %+v", need, rows)
	}
	return rows[at]
}

func TestDoctorOfAFreshCheckoutMakesNothing(t *testing.T) {
	c := withGitleaks(t)
	c.write("requirements/dev.txt", pinned(t, "iniconfig"))
	c.env["XDG_CACHE_HOME"] = t.TempDir()
	before := tree(t, c.root)
	rows := c.provisioner().Doctor(t.Context())
	for _, want := range []struct {
		need  string
		state State
	}{
		{"Go", StateOK},
		{"git", StateOK},
		{"git history", StateWarning},
		{"environment .venv", StateSetup},
		{"gitleaks", StateSetup},
		{"disk", StateOK},
	} {
		if got := find(t, rows, want.need); got.State != want.state || got.State == StateSetup && got.Remedy == "" {
			t.Errorf("%s: %+v, want %s", want.need, got, want.state)
		}
	}
	if after := tree(t, c.root); after != before {
		t.Errorf("the doctor changed\n%s\nto\n%s", before, after)
	}
	if !Healthy(rows) {
		t.Errorf("a machine that can run these tests is called unfit: %+v", rows)
	}
}

func TestDoctorOfAReadyCheckout(t *testing.T) {
	c := withPython(t)
	c.venv()
	rows := c.provisioner().Doctor(t.Context())
	for _, need := range []string{"uv", "Python 3.11", "environment .venv"} {
		if row := find(t, rows, need); row.State != StateOK || row.Version == "" || row.Where == "" {
			t.Errorf("%+v", row)
		}
	}
}

func TestDoctorSeesAShallowClone(t *testing.T) {
	c := newCheckout(t)
	git := func(dir string, args ...string) {
		t.Helper()
		identity := []string{"-C", dir, "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}
		if _, err := c.execute(nil, "git", append(identity, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	origin := t.TempDir()
	git(origin, "init", "--quiet")
	git(origin, "commit", "--quiet", "--allow-empty", "-m", "one")
	git(origin, "commit", "--quiet", "--allow-empty", "-m", "two")
	clone := filepath.Join(t.TempDir(), "clone")
	git(origin, "clone", "--quiet", "--depth=1", "file://"+origin, clone)
	for dir, want := range map[string]State{origin: StateOK, clone: StateWarning} {
		p := c.provisioner()
		p.root = dir
		if row := find(t, p.checkGit(t.Context()), "git history"); row.State != want || want == StateWarning && row.Remedy != "git fetch --unshallow" {
			t.Errorf("%+v, want %s", row, want)
		}
	}
}

func TestDoctorOfPostgres(t *testing.T) {
	address := sharedServer(t)
	for _, test := range []struct {
		name string
		with func(*checkout, *Provisioner)
		need string
		want State
		says string
	}{
		{"on the machine", func(*checkout, *Provisioner) {}, "PostgreSQL 15", StateOK, ""},
		{"DATABASE_URL", func(_ *checkout, p *Provisioner) { p.env["DATABASE_URL"] = address }, "DATABASE_URL", StateOK, ""},
		{"another version", func(c *checkout, p *Provisioner) {
			p.env["DATABASE_URL"] = address
			c.project.Postgres.Version = "16"
		}, "DATABASE_URL", StateWarning, "16 is wanted"},
		{"DATABASE_URL that does not serve", func(_ *checkout, p *Provisioner) {
			p.env["DATABASE_URL"] = "postgresql://a:hunter2@127.0.0.1:1/x"
		}, "DATABASE_URL", StateWarning, "does not serve: connect"},
		{"to be downloaded", func(_ *checkout, p *Provisioner) { p.places, p.env["PATH"] = nil, t.TempDir() }, "PostgreSQL 15", StateSetup, "`mage setup` downloads 15."},
		{"to be had nowhere", func(c *checkout, p *Provisioner) {
			p.places, p.env["PATH"] = nil, t.TempDir()
			c.project.Postgres.Version = "42"
		}, "PostgreSQL 42", StateMissing, "no server programs"},
		{"a wrong directory", func(_ *checkout, p *Provisioner) { p.env["METER_POSTGRES_BIN"] = "/nowhere" }, "PostgreSQL 15", StateMissing, "there is no initdb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			c.env["XDG_CACHE_HOME"] = t.TempDir()
			p := c.provisioner()
			test.with(c, p)
			row := find(t, p.checkPostgres(t.Context()), test.need)
			if row.State != test.want || !strings.Contains(row.Note, test.says) {
				t.Errorf("%+v, want %s, %q", row, test.want, test.says)
			}
			if strings.Contains(fmt.Sprint(row), "hunter2") {
				t.Error("it shows the password")
			}
		})
	}
}

func TestSetupMakesWhatItCanAndSaysTheRest(t *testing.T) {
	c := withPython(t) // but without the module of gitleaks
	p := c.provisioner()
	err := p.Setup(t.Context(), c.say)
	if err == nil || !strings.HasPrefix(err.Error(), "gitleaks: ") {
		t.Errorf("error %v", err)
	}
	if !c.heard("python: ready: Python 3.11") || !c.heard("postgres: ready: PostgreSQL 15") {
		t.Errorf("said %q", c.said)
	}
	rows := c.provisioner().Doctor(t.Context())
	if row := find(t, rows, "environment .venv"); row.State != StateOK {
		t.Errorf("%+v", row)
	}
}

// tree lists what is in a directory, but for what the runner keeps for itself.
func tree(t *testing.T, root string) string {
	t.Helper()
	var all []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !strings.Contains(path, filepath.Join(".pipeline", "running")) && filepath.Base(path) != ".pipeline" {
			all = append(all, fmt.Sprintf("%s %d", path, info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func BenchmarkPythonThatIsCurrent(b *testing.B) {
	root := os.Getenv("PROVISION_BENCH_ROOT") // a checkout whose environment is current
	if root == "" {
		b.Skip("set PROVISION_BENCH_ROOT to a checkout whose environment is current")
	}
	for b.Loop() {
		p, err := openAt(root)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Provide(b.Context(), engine.NeedPython, func(text string) { b.Fatal(text) }); err != nil {
			b.Fatal(err)
		}
		if err := p.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
