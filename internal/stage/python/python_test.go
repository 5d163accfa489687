package python

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestLook(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"src/a.py", "src/deep/b.pyi", "src/deep/c.txt", "src/.hidden/d.py", "src/__pycache__/e.py", "src/env/pyvenv.cfg", "src/env/lib/f.py",
		"scripts/run", "lib/g.py", "notes/h.txt",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("lib", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../lib", filepath.Join(root, "src", "inner")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		paths   []string
		want    []string
		problem string
	}{
		{"folder", []string{"src"}, []string{"src/a.py", "src/deep/b.pyi"}, ""},
		{"the same twice", []string{"src", "./src/a.py"}, []string{"src/a.py", "src/deep/b.pyi"}, ""},
		{"file of any name", []string{"scripts/run"}, []string{"scripts/run"}, ""},
		{"link", []string{"link"}, []string{"lib/g.py"}, ""},
		{"without Python", []string{"src", "notes"}, []string{"src/a.py", "src/deep/b.pyi"}, "k names notes, which holds no Python file"},
		{"missing", []string{"nowhere"}, nil, "k names nowhere, which can't be read: no such file or directory"},
		{"no path", nil, nil, "k is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tree := Look(root, "k", tc.paths)
			if diff := cmp.Diff(tc.want, tree.Files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if (tree.Problem != nil) != (tc.problem != "") || tree.Problem != nil && !strings.Contains(tree.Problem.Error(), tc.problem) {
				t.Errorf("problem %v, want %q", tree.Problem, tc.problem)
			}
		})
	}
	tree := Look(root, "k", []string{"src"})
	if diff := cmp.Diff([]string{"src/deep/b.pyi"}, tree.Unseen([]string{"./src/a.py", "elsewhere.py"})); diff != "" {
		t.Errorf("unseen (-want +got):\n%s", diff)
	}
}

func TestRelative(t *testing.T) {
	for path, want := range map[string]string{
		"/project/src/a.py": "src/a.py", "src/./a.py": "src/a.py", "/elsewhere/a.py": "/elsewhere/a.py", "/projects/a.py": "/projects/a.py", "": "",
	} {
		if got := Relative("/project", path); got != want {
			t.Errorf("Relative(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestFailure(t *testing.T) {
	for _, tc := range []struct {
		name           string
		stdout, stderr string
		want           string
	}{
		{"missing", "", "/v/python: No module named black\n", "black is not installed in the project's Python environment"},
		{"something else missing", "", "Traceback (most recent call last):\n  File \"x\"\nModuleNotFoundError: No module named 'click'\n", "without a result: ModuleNotFoundError: No module named 'click'"},
		{"traceback", "out\n", "Traceback (most recent call last):\n  File \"/project/a.py\", line 1\nValueError: first\n\nsecond\n", "ValueError: first second"},
		{"last line", "out\n", "\x1b[31mred\x1b[0m\n\n", "without a result: red"},
		{"stdout", "out\n", " \n", "without a result: out"},
		{"nothing", "", "", "ended with exit code 3 and said nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Failure("black", engine.Output{ExitCode: 3, Stdout: []byte(tc.stdout), Stderr: []byte(tc.stderr), Root: "/project"})
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it says %q, want it to hold %q", err, tc.want)
			}
		})
	}
}

func TestList(t *testing.T) {
	if got := List([]string{"a\nb", "c", "d"}, 2); got != "a b, c and 1 more" {
		t.Errorf("got %q", got)
	}
	if got := List(nil, 2); got != "" {
		t.Errorf("got %q", got)
	}
}

func FuzzTests(f *testing.F) {
	f.Add([]byte(`<testsuites><testsuite tests="1" failures="1" errors="0" skipped="0"><testcase classname="t.a.C" name="b" file="t/a.py" line="1" time="0.1"><failure message="m">t/a.py:3: X</failure></testcase></testsuite></testsuites>`))
	f.Add([]byte(`<testsuites><testsuite tests="1" failures="0" errors="0" skipped="1"><testcase classname="a" name="b"><skipped type="pytest.xfail" message="m"/></testcase></testsuite></testsuites>`))
	f.Fuzz(func(t *testing.T, report []byte) {
		tests, err := Tests(report)
		if err != nil {
			return
		}
		j := JudgeTests(tests, 3)
		if j.Judged > len(tests) || len(j.Findings) > j.Judged {
			t.Errorf("%d tests, %d judged, %d findings", len(tests), j.Judged, len(j.Findings))
		}
	})
}
