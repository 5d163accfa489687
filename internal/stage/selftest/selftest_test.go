package selftest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// goIn runs the real go command in testdata/broken.
func goIn(t *testing.T, args ...string) engine.Output {
	t.Helper()
	root, err := filepath.Abs("testdata/broken")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
	}
	return engine.Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: cmd.ProcessState.ExitCode(), Root: root}
}

func goTest(t *testing.T, ci bool, packages ...string) (engine.Judgement, error) {
	t.Helper()
	return parseGoTest(goIn(t, append([]string{"test", "-json", "-count=1"}, packages...)...), "example.com/broken", ci)
}

func TestParseGoTest(t *testing.T) {
	for _, tc := range []struct {
		name, pkg string
		judged    int
		want      []engine.Finding
	}{
		{"passes", "./passes", 2, nil},
		{"fails", "./fails", 3, []engine.Finding{{
			Rule: "test", Path: "fails/fails_test.go", Line: 7, Message: "TestFails/a_case: got 1, want 2",
			Help: "rerun it: go test -tags mage -run '^TestFails$/^a_case$' ./fails",
		}}},
		{"does not compile", "./builds", 1, []engine.Finding{{
			Rule: "build", Path: "builds/builds_test.go", Line: 6, Column: 17,
			Message: "cannot use 1 (untyped int constant) as string value in variable declaration",
			Help:    "it does not compile: go vet -tags mage ./...",
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := goTest(t, true, tc.pkg)
			if err != nil {
				t.Fatal(err)
			}
			if got.Judged != tc.judged {
				t.Errorf("judged %d, want %d", got.Judged, tc.judged)
			}
			firstLines := func(fs []engine.Finding) (cut []engine.Finding) {
				for _, f := range fs {
					if !strings.HasPrefix(f.Message, "declared and not used") {
						f.Message, _, _ = strings.Cut(f.Message, "\n")
						cut = append(cut, f)
					}
				}
				return cut
			}
			if diff := cmp.Diff(tc.want, firstLines(got.Findings)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseGoTestPanic(t *testing.T) {
	got, err := goTest(t, false, "./panics")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 1 || !strings.Contains(got.Findings[0].Message, "assignment to entry in nil map") {
		t.Errorf("findings = %+v", got.Findings)
	}
}

func TestParseGoTestSkip(t *testing.T) {
	local, err := goTest(t, false, "./skips")
	if err != nil {
		t.Fatal(err)
	}
	if len(local.Findings) != 0 || local.Tables[0].Title != "Skipped tests" {
		t.Errorf("on a laptop a skip is shown, and fails nothing: %+v", local)
	}
	ci, err := goTest(t, true, "./skips")
	if err != nil {
		t.Fatal(err)
	}
	if len(ci.Findings) != 1 || !strings.Contains(ci.Findings[0].Message, "the moon is not full") {
		t.Errorf("in CI a skip is a finding with its reason: %+v", ci.Findings)
	}
}

func TestParseGoTestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		out  engine.Output
	}{
		{"truncated", engine.Output{Stdout: []byte(`{"Action":"pa`)}},
		{"text", engine.Output{Stdout: []byte("FAIL\n"), ExitCode: 1}},
		{"failed and silent", engine.Output{ExitCode: 1, Stderr: []byte("go: cannot find main module\n")}},
	} {
		if j, err := parseGoTest(tc.out, "m", false); err == nil {
			t.Errorf("%s: judged %+v", tc.name, j)
		}
	}
	if j, err := parseGoTest(engine.Output{}, "m", false); err != nil || j.Judged != 0 {
		t.Errorf("no test run: %+v, %v; the engine makes an error of zero judged", j, err)
	}
}

// In CI one machine serves the tests of all packages, and what counts is what they wrote, not that it could be started.
func TestImagesAreTestedOnOneMachine(t *testing.T) {
	command := imageTestStep("m", true).Command
	args := strings.Join(command.Args, " ")
	if want := "run ./internal/stage/image/imagetest/machine -output " + engine.ArtifactsDir + "/gotest-images.json go test "; !strings.HasPrefix(args, want) {
		t.Errorf("%q does not begin with %q", args, want)
	}
	if want := engine.ArtifactsDir + "/" + command.Reports["tests"]; !slices.Contains(command.Args, want) {
		t.Errorf("%q has no %q", args, want)
	}
	passes := goIn(t, "test", "-json", "-count=1", "./passes")
	ran := engine.Output{Stdout: []byte("what the machine says"), Reports: map[string][]byte{"tests": passes.Stdout}}
	if j, err := command.Parse(ran); err != nil || j.Judged != 2 {
		t.Errorf("judged %+v, %v", j, err)
	}
	for name, out := range map[string]engine.Output{
		"no machine":        {ExitCode: 1, Stderr: []byte("only root can start a container engine\nexit status 3\n")},
		"without a report":  passes,
		"not ended rightly": {ExitCode: 1, Reports: map[string][]byte{"tests": passes.Stdout}},
	} {
		if j, err := command.Parse(out); err == nil {
			t.Errorf("%s: judged %+v", name, j)
		}
	}
	if elsewhere := imageTestStep("m", false).Command; elsewhere.Args[0] != "test" || elsewhere.Reports != nil {
		t.Errorf("outside of CI: %q, %v", elsewhere.Args, elsewhere.Reports)
	}
}

func TestParseVet(t *testing.T) {
	got, err := parseVet(goIn(t, "vet", "-json", "./vets", "./passes"))
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Finding{{
		Rule: "printf", Path: "vets/vets.go", Line: 7, Column: 30,
		Message: `fmt.Sprintf format %d has arg "x" of wrong type string`,
		Help:    "see `go doc cmd/vet` and `go tool vet help printf`",
	}}
	if diff := cmp.Diff(want, got.Findings, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Column" }, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Judged < 2 {
		t.Errorf("judged %d packages", got.Judged)
	}
}

func TestParseVetRefuses(t *testing.T) {
	if j, err := parseVet(goIn(t, "vet", "-json", "./builds")); err == nil && len(j.Findings) == 0 {
		t.Errorf("code that does not compile was judged %+v", j)
	}
	if j, err := parseVet(goIn(t, "vet", "-json", "./nowhere")); err == nil {
		t.Errorf("a missing package was judged %+v", j)
	}
}

func TestParseLint(t *testing.T) {
	out := engine.Output{ExitCode: 1, Root: "/p", Stdout: []byte(
		`{"Issues":[{"FromLinter":"errcheck","Text":"Error return value is not checked","Pos":{"Filename":"internal/x.go","Line":3,"Column":4}}],` +
			`"Report":{"Linters":[{"Name":"errcheck","Enabled":true},{"Name":"dupl"}]}}` + "\n")}
	got, err := parseLint(out)
	if err != nil {
		t.Fatal(err)
	}
	if got.Judged != 1 || len(got.Findings) != 1 || got.Findings[0].Path != "internal/x.go" || got.Findings[0].Line != 3 {
		t.Errorf("judgement = %+v", got)
	}
	for name, bad := range map[string]engine.Output{
		"crashed":          {ExitCode: 3, Stderr: []byte("can't load config")},
		"empty":            {},
		"truncated":        {Stdout: []byte(`{"Issues":[`)},
		"linter's error":   {Stdout: []byte(`{"Issues":[],"Report":{"Error":"typechecking failed"}}`)},
		"failed, no issue": {ExitCode: 1, Stdout: []byte(`{"Issues":[],"Report":{}}`)},
	} {
		if j, err := parseLint(bad); err == nil {
			t.Errorf("%s: judged %+v", name, j)
		}
	}
}

func TestParseMypy(t *testing.T) {
	got, err := parseMypy(engine.Output{ExitCode: 1, Root: "/p", Stdout: []byte(
		"src/data/x.py:3:9: error: Incompatible types in assignment  [assignment]\nsrc/data/x.py:3:9: note: see there\n" +
			"Found 1 error in 1 file (checked 29 source files)\n")})
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Judgement{Judged: 29, Unit: "files", Findings: []engine.Finding{{
		Rule: "assignment", Path: "src/data/x.py", Line: 3, Column: 9, Message: "Incompatible types in assignment",
		Help: "correct the type, or the code", HelpURL: "https://mypy.readthedocs.io/en/stable/_refs.html#code-assignment",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := parseMypy(engine.Output{Stdout: []byte("Success: no issues found in 30 source files\n")}); err != nil || got.Judged != 30 {
		t.Errorf("success: %+v, %v", got, err)
	}
	for name, bad := range map[string]engine.Output{
		"crashed":   {ExitCode: 2, Stdout: []byte("src/x.py:1: error: invalid syntax  [syntax]\nFound 1 error in 1 file (errors prevented further checking)\n")},
		"empty":     {},
		"disagrees": {ExitCode: 1, Stdout: []byte("Found 1 error in 1 file (checked 29 source files)\n")},
	} {
		if j, err := parseMypy(bad); err == nil {
			t.Errorf("%s: judged %+v", name, j)
		}
	}
}

func TestModulePath(t *testing.T) {
	if got, err := modulePath("testdata/broken/go.mod"); err != nil || got != "example.com/broken" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (Go{}).Steps(&config.Project{Root: t.TempDir()}); err == nil {
		t.Error("a project without go.mod has no Go tests")
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte(`{"Action":"fail","Package":"m/p","Test":"T"}`), 1)
	f.Add([]byte(`{"m":{"printf":[{"posn":"a.go:1:2","message":"x"}]}}`), 0)
	f.Add([]byte("a.py:1:2: error: x  [y]\nFound 1 error in 1 file (checked 1 source file)\n"), 1)
	f.Add([]byte(`{"Issues":[{"Pos":{"Filename":"x"}}],"Report":{}}`), 1)
	f.Fuzz(func(_ *testing.T, text []byte, code int) {
		out := engine.Output{Stdout: text, ExitCode: code, Root: "/p"}
		_, _ = parseGoTest(out, "m", true)
		_, _ = parseVet(out)
		_, _ = parseLint(out)
		_, _ = parseMypy(out)
	})
}
