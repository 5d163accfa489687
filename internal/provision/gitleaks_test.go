package provision

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// withGitleaks gives a checkout the repository's module of gitleaks.
func withGitleaks(t *testing.T) *checkout {
	t.Helper()
	c := newCheckout(t)
	if err := os.CopyFS(filepath.Join(c.root, gitleaksSource().module), os.DirFS(filepath.Join(repository(t), gitleaksSource().module))); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGitleaksIsBuiltAndFindsASecret(t *testing.T) {
	t.Parallel()
	c := withGitleaks(t)
	p := c.provisioner()
	provision, err := p.Provide(t.Context(), engine.NeedGitleaks, c.say)
	if err != nil {
		unreachable(t, "gitleaks", err)
	}
	program := filepath.Join(provision.Programs, "gitleaks")
	tool, err := p.wanted(gitleaksSource())
	if err != nil {
		t.Fatal(err)
	}
	if version, err := c.execute(nil, program, "version"); err != nil || version != tool.version {
		t.Errorf("it says version %q, %v; want %s", version, err, tool.version)
	}
	c.write("settings.py", "AWS_KEY = \"AKIA"+"Z7QK3XJ2M5N4P6RT\"\n")
	if _, err := c.execute(nil, program, "dir", "--no-banner", c.root); err == nil {
		t.Error("it does not find the secret")
	}
}

func TestGitleaksBuildIsKeyed(t *testing.T) {
	c := withGitleaks(t)
	p := c.provisioner()
	key := func() string {
		t.Helper()
		tool, err := p.wanted(gitleaksSource())
		if err != nil {
			t.Fatal(err)
		}
		return tool.dir
	}
	first := key()
	if !strings.Contains(first, "gitleaks-v8.") || key() != first {
		t.Errorf("it is kept in %s", first)
	}
	p.golang = "go9.9"
	if key() == first {
		t.Error("another toolchain gives the same build")
	}
	p.golang = c.provisioner().golang
	c.write(gitleaksSource().module+"/go.sum", "")
	if key() == first {
		t.Error("other sources give the same build")
	}
}

func TestGitleaksBuildThatFailsLeavesNothing(t *testing.T) {
	failed := engine.Output{ExitCode: 1, Stderr: []byte("go: downloading x v1\ngo: x@v1: dial tcp: connection refused\n")}
	for _, test := range []struct {
		name  string
		stubs []tooltest.Stub
		path  bool
		want  string
	}{
		{"no network", []tooltest.Stub{{Program: "go", Args: []string{"build", "-o"}, Output: failed}}, true, "connection refused: its modules come from GOPROXY"},
		{"interrupted", []tooltest.Stub{{Program: "go", Err: context.Canceled}}, true, "run go: context canceled"},
		{"no Go", nil, false, "there is no go on PATH"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := withGitleaks(t)
			c.env["XDG_CACHE_HOME"] = t.TempDir()
			if !test.path {
				c.env["PATH"] = t.TempDir()
			}
			c.runner = tooltest.New(t, test.stubs...)
			_, err := c.provisioner().Provide(t.Context(), engine.NeedGitleaks, c.say)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			left, _ := filepath.Glob(filepath.Join(c.env["XDG_CACHE_HOME"], "meter-pipeline", "gitleaks-*"))
			for _, path := range left {
				if !strings.HasSuffix(path, ".lock") {
					t.Errorf("%s is left", path)
				}
			}
		})
	}
}

func TestGitleaksWithoutItsModule(t *testing.T) {
	c := newCheckout(t)
	_, err := c.provisioner().Provide(t.Context(), engine.NeedGitleaks, c.say)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "tools/gitleaks") {
		t.Errorf("error %v", err)
	}
}

func TestRequiredVersion(t *testing.T) {
	for _, test := range []struct{ mod, want string }{
		{"require example.com/m/v8 v8.1.0", "v8.1.0"},
		{"require (\n\texample.com/m v1.0.0\n\texample.com/m/v8 v8.30.1 // indirect\n)", "v8.30.1"},
		{"tool example.com/m/v8\n", ""},
		{"replace example.com/m/v8 => ../m\n", ""},
		{"", ""},
	} {
		if got, ok := requiredVersion([]byte(test.mod), "example.com/m/v8"); got != test.want || ok != (test.want != "") {
			t.Errorf("%q: %q, %v", test.mod, got, ok)
		}
	}
}
