package provision

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// withPython gives a checkout a uv, and requirements that are quickly installed.
func withPython(t *testing.T) *checkout {
	t.Helper()
	c := newCheckout(t).withUV()
	c.write("requirements/dev.txt", pinned(t, "iniconfig"))
	return c
}

// venv provides the environment to a new run, which ends at once.
func (c *checkout) venv() engine.Provision {
	c.t.Helper()
	c.mu.Lock()
	c.said = nil
	c.mu.Unlock()
	p := c.provisioner()
	provision := c.provide(p, engine.NeedPython)
	if err := p.Close(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	return provision
}

// untouched reports that nothing was made, which shows by nothing having been said.
func (c *checkout) untouched() bool {
	c.t.Helper()
	c.venv()
	return len(c.said) == 0
}

func TestPythonIsMadeOnceAndFits(t *testing.T) {
	c := withPython(t)
	c.env["PYTHONPATH"] = c.root // would let the project's files stand in for installed packages
	c.env["PYTHONHOME"] = "/nowhere"
	provision := c.venv()
	if !c.heard("making .venv with Python 3.11", "it is not there") {
		t.Errorf("said %q", c.said)
	}
	out, err := c.execute(provision.Env, filepath.Join(provision.Programs, "python"), "-c",
		`import sys, iniconfig; print(sys.version_info[:2], sys.prefix, sys.flags.utf8_mode, iniconfig.__file__.startswith(sys.prefix), "" in sys.path[1:])`)
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := filepath.EvalSymlinks(filepath.Join(c.root, ".venv"))
	if want := "(3, 11) " + dir + " 1 True False"; out != want {
		t.Errorf("Python says %q, want %q", out, want)
	}
	if provision.Env["VIRTUAL_ENV"] != dir || !strings.Contains(provision.Detail, "with 1 packages in .venv") {
		t.Errorf("provision %+v", provision)
	}
	if !c.untouched() {
		t.Errorf("the second run makes it again: %q", c.said)
	}
}

func TestPythonFollowsTheRequirements(t *testing.T) {
	c := withPython(t)
	c.venv()
	c.write("requirements/dev.txt", pinned(t, "pluggy"))
	provision := c.venv()
	if !c.heard("updating .venv", "the requirements changed") {
		t.Errorf("said %q", c.said)
	}
	python := filepath.Join(provision.Programs, "python")
	if _, err := c.execute(provision.Env, python, "-c", "import pluggy"); err != nil {
		t.Error(err)
	}
	if _, err := c.execute(provision.Env, python, "-c", "import iniconfig"); err == nil {
		t.Error("what is not required any more is still there")
	}
	// Touched, but with the same content: nothing is to be done.
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(c.root, "requirements/dev.txt"), now, now); err != nil {
		t.Fatal(err)
	}
	if !c.untouched() {
		t.Errorf("said %q", c.said)
	}
}

func TestPythonIsMendedWhatever(t *testing.T) {
	t.Parallel()
	c := withPython(t)
	provision := c.venv()
	venv, python := filepath.Join(c.root, ".venv"), filepath.Join(provision.Programs, "python")
	uvPip := func(args ...string) {
		t.Helper()
		if _, err := c.execute(nil, c.env["UV"], append([]string{"pip", args[0], "--quiet", "--python", python}, args[1:]...)...); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name  string
		harm  func()
		heard string
	}{
		{"a package is removed by hand", func() { uvPip("uninstall", "iniconfig") }, "somebody else installed or removed packages"},
		{"a package is added by hand", func() {
			c.write("extra.txt", pinned(t, "pluggy"))
			uvPip("install", "--require-hashes", "-r", filepath.Join(c.root, "extra.txt"))
		}, "somebody else installed or removed packages"},
		{"an interrupted synchronization", func() { must(os.Remove(filepath.Join(venv, stampName))) }, "it was not completed"},
		{"a torn stamp", func() { must(os.WriteFile(filepath.Join(venv, stampName), []byte(`{"schema"`), 0o600)) }, "another version"},
		{"the interpreter is gone", func() {
			must(os.Remove(python))
			must(os.Symlink("/usr/bin/python-that-was-removed", python))
		}, "its Python is gone"},
		{"the interpreter is another one", func() {
			must(os.Remove(python))
			must(os.Symlink("/bin/sh", python))
		}, "its Python was replaced"},
		{"an empty directory", func() { must(os.RemoveAll(venv)); must(os.Mkdir(venv, 0o755)) }, "it was not completed"},
		{"a link to nowhere", func() { must(os.RemoveAll(venv)); must(os.Symlink("/nowhere/at/all", venv)) }, "it was not completed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.harm()
			provision := c.venv()
			if !c.heard(test.heard) {
				t.Errorf("said %q, want %q", c.said, test.heard)
			}
			out, err := c.execute(provision.Env, python, "-c", "import iniconfig, importlib.metadata as m; print(len(list(m.distributions())))")
			if err != nil || out != "1" {
				t.Errorf("%s distributions, %v", out, err)
			}
			if !c.untouched() {
				t.Errorf("it is not mended for good: %q", c.said)
			}
		})
	}
}

func TestPythonThatWasCopiedIsMadeAnew(t *testing.T) {
	c := withPython(t)
	c.venv()
	copied := newCheckout(t)
	copied.env["UV"] = c.env["UV"]
	if err := os.CopyFS(copied.root+"/.venv", os.DirFS(filepath.Join(c.root, ".venv"))); err != nil {
		t.Logf("copied but for links: %v", err)
	}
	copied.write("requirements/dev.txt", pinned(t, "iniconfig"))
	provision := copied.venv()
	if !copied.heard("making .venv") {
		t.Errorf("said %q", copied.said)
	}
	out, err := copied.execute(provision.Env, filepath.Join(provision.Programs, "python"), "-c", "import sys; print(sys.prefix)")
	if dir, _ := filepath.EvalSymlinks(copied.root); err != nil || !strings.HasPrefix(out, dir) {
		t.Errorf("Python is at %q, %v", out, err)
	}
}

func TestPythonWorksWithoutANetwork(t *testing.T) {
	t.Parallel()
	c := withPython(t)
	c.venv()
	nowhere := map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", "UV_HTTP_RETRIES": "0"}
	for key, value := range nowhere {
		c.env[key], c.env[strings.ToLower(key)] = value, value
	}
	t.Run("nothing is to be done", func(t *testing.T) {
		if !c.untouched() {
			t.Errorf("said %q", c.said)
		}
	})
	t.Run("made from what was downloaded before", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(c.root, ".venv")); err != nil {
			t.Fatal(err)
		}
		c.venv()
	})
	t.Run("something is missing", func(t *testing.T) {
		c.env["UV_CACHE_DIR"] = t.TempDir()
		c.write("requirements/dev.txt", pinned(t, "pluggy"))
		_, err := c.provisioner().Provide(t.Context(), engine.NeedPython, c.say)
		if err == nil || !strings.Contains(err.Error(), "the package index can't be reached; run `mage setup` once with a network") {
			t.Fatalf("error %v", err)
		}
		if exists(filepath.Join(c.root, ".venv", stampName)) {
			t.Error("what was not made has a stamp")
		}
	})
}

func TestPythonRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		with func(*checkout)
		need engine.Need
		want []string
	}{
		{"no such version", func(c *checkout) {
			c.project.Python.Version = "3.99"
		}, engine.NeedPython, []string{"install Python 3.99", "apt-get install python3.99", "brew install python@3.99", "WSL"}},
		{"a hash that is not right", func(c *checkout) {
			c.write("requirements/dev.txt", "iniconfig==2.1.0 --hash=sha256:"+strings.Repeat("0", 64)+"\n")
		}, engine.NeedPython, []string{"install requirements/dev.txt into .venv", "ash"}},
		{"no hashes", func(c *checkout) {
			c.write("requirements/dev.txt", "iniconfig==2.1.0\n")
		}, engine.NeedPython, []string{"ash"}},
		{"no requirements", func(c *checkout) {
			_ = os.Remove(filepath.Join(c.root, "requirements/dev.txt"))
		}, engine.NeedPython, []string{"read requirements of .venv", "pipeline.yaml"}},
		{"something else is there", func(c *checkout) {
			_ = os.MkdirAll(filepath.Join(c.root, ".venv", "photos"), 0o755)
		}, engine.NeedPython, []string{"no Python environment", "move it away"}},
		{"no such environment", func(*checkout) {}, "python:airflow", []string{`no environment "airflow"`}},
		{"no such need", func(*checkout) {}, "coffee", []string{`no need "coffee"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := withPython(t)
			test.with(c)
			_, err := c.provisioner().Provide(t.Context(), test.need, c.say)
			if err == nil {
				t.Fatal("it is provided")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
			if exists(filepath.Join(c.root, ".venv", stampName)) {
				t.Error("what was not made has a stamp")
			}
			if test.name == "something else is there" && !exists(filepath.Join(c.root, ".venv", "photos")) {
				t.Error("it was removed")
			}
		})
	}
}

func TestPythonApart(t *testing.T) {
	c := withPython(t)
	c.project.Python.Apart = map[string]config.Environ{"airflow": {Requirements: "requirements/airflow.txt", Directory: ".venv-airflow"}}
	c.write("requirements/airflow.txt", pinned(t, "pluggy"))
	p := c.provisioner()
	first, apart := c.provide(p, engine.NeedPython), c.provide(p, "python:airflow")
	for _, test := range []struct {
		provision engine.Provision
		has, not  string
	}{{first, "iniconfig", "pluggy"}, {apart, "pluggy", "iniconfig"}} {
		python := filepath.Join(test.provision.Programs, "python")
		if _, err := c.execute(test.provision.Env, python, "-c", "import "+test.has); err != nil {
			t.Error(err)
		}
		if _, err := c.execute(test.provision.Env, python, "-c", "import "+test.not); err == nil {
			t.Errorf("%s has %s", test.provision.Programs, test.not)
		}
	}
}

func TestRunsOfOneCheckoutWaitForEachOther(t *testing.T) {
	c := withPython(t)
	c.venv()
	other := startOther(t, c, engine.NeedPython) // uses the environment
	c.write("requirements/dev.txt", pinned(t, "pluggy"))

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.provisioner().Provide(ctx, engine.NeedPython, c.say); err == nil {
		t.Fatal("the environment that another run uses was changed")
	}
	if !c.heard("waiting for another run, which is using .venv") {
		t.Errorf("said %q", c.said)
	}
	if err := other.Process.Kill(); err != nil { // and a killed run holds nobody up
		t.Fatal(err)
	}
	_ = other.Wait()
	c.venv()
	if !c.heard("updating .venv") {
		t.Errorf("said %q", c.said)
	}
}

func TestKilledSynchronizationIsMadeAnew(t *testing.T) {
	c := withPython(t)
	spec, err := c.provisioner().pythonSpec("", false)
	if err != nil {
		t.Fatal(err)
	}
	// As a kill between uv's first file and pyvenv.cfg leaves it: a directory that does not look like an environment.
	if err := os.MkdirAll(filepath.Join(spec.dir, "lib", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.root, ".pipeline", "locks"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.write(".pipeline/locks/.venv.lock", building)
	c.venv()
	if exists(filepath.Join(spec.dir, "lib", "half")) {
		t.Error("what the killed run left is still there")
	}
	if !c.untouched() {
		t.Errorf("said %q", c.said)
	}
}

func TestUVThatAKilledRunLeftIsWaitedFor(t *testing.T) {
	c := withPython(t)
	c.venv()
	venv := filepath.Join(c.root, ".venv")
	if err := os.Remove(filepath.Join(venv, stampName)); err != nil {
		t.Fatal(err)
	}
	atWork, err := openLock(filepath.Join(venv, ".lock")) // as uv locks it
	if err != nil {
		t.Fatal(err)
	}
	if taken, err := atWork.try(); err != nil || !taken {
		t.Fatalf("uv's lock: %v, %v", taken, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.provisioner().Provide(ctx, engine.NeedPython, c.say); err == nil || !c.heard("waiting for another uv") {
		t.Errorf("error %v, said %q", err, c.said)
	}
	if err := atWork.close(); err != nil {
		t.Fatal(err)
	}
	c.venv()
}

func TestOwnCopyOfUV(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	c.write("requirements/dev.txt", pinned(t, "iniconfig"))
	pin, err := os.ReadFile(filepath.Join(repository(t), uvRequirements))
	if err != nil {
		t.Fatal(err)
	}
	c.write(uvRequirements, string(pin))
	// Nowhere on PATH is a uv; two say that they are one.
	fakes := t.TempDir()
	for name, script := range map[string]string{"old/uv": "echo uv 0.1.0", "broken/uv": "exit 127"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(fakes, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(fakes, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := []string{filepath.Join(fakes, "broken"), filepath.Join(fakes, "old")}
	for _, dir := range filepath.SplitList(c.env["PATH"]) {
		if !executable(filepath.Join(dir, "uv")) {
			path = append(path, dir)
		}
	}
	c.env["PATH"] = strings.Join(path, string(os.PathListSeparator))
	provision, err := c.provisioner().Provide(t.Context(), engine.NeedPython, c.say)
	if err != nil {
		unreachable(t, "uv", err)
	}
	if !c.heard("installing uv into .pipeline/tools, once") || !c.heard("old/uv of PATH is passed over: uv 0.1.0 is older") || !c.heard("broken/uv of PATH is passed over") {
		t.Errorf("said %q", c.said)
	}
	if _, err := c.execute(provision.Env, filepath.Join(provision.Programs, "python"), "-c", "import iniconfig"); err != nil {
		t.Error(err)
	}
	tool, _ := c.provisioner().findUV(t.Context())
	if tool.path != filepath.Join(c.root, ".pipeline/tools/uv/bin/uv") {
		t.Errorf("the next run finds %+v", tool)
	}
	c.write(uvRequirements, string(pin)+"# changed\n")
	if tool, _ := c.provisioner().findUV(t.Context()); tool.path != "" {
		t.Errorf("a copy of another pin is used: %+v", tool)
	}
}
