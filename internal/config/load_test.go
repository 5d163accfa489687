package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// project makes a project with the documented layout, and that pipeline.yaml.
func project(t *testing.T, yaml string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"src", "tests/unit", "tests/integration", "requirements"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "requirements/dev.txt"), "")
	write(t, filepath.Join(root, FileName), yaml)
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadAccepts(t *testing.T) {
	for _, tc := range []struct{ name, yaml string }{
		{"empty", ""},
		{"comments only", "# nothing yet\n# really\n"},
		{"byte-order mark", "\xef\xbb\xbfversion: 1\n"},
		{"CRLF", "version: 1\r\nquality:\r\n  pylint:\r\n    minimum_score: 8\r\n"},
		{"one entry", "name: x\n"},
		{"document start", "---\nversion: 1\n"},
		{"whole number for a score", "unit: {coverage: {minimum: 95}}\n"},
		{"quoted key", "\"version\": 1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Load(project(t, tc.yaml))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"src"}, p.Quality.Paths); diff != "" {
				t.Errorf("quality.paths follow source (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsValues(t *testing.T) {
	p, err := Load(project(t, `
run: {timeout: 90s, budgets: {unit: 2m}}
unit: {coverage: {minimum: 91.5}}
security:
  allow:
    - {tool: bandit, rule: B101, reason: asserts are checked, expires: "2027-01-31"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Run.Timeout.Std(); got != 90*time.Second {
		t.Errorf("timeout = %s", got)
	}
	if got := p.Run.Budgets["unit"].Std(); got != 2*time.Minute {
		t.Errorf("unit budget = %s", got)
	}
	if got := p.Run.Budgets["quality"].Std(); got != 5*time.Minute {
		t.Errorf("a budget that is not written keeps its default, got %s", got)
	}
	if p.Unit.Coverage.Minimum != 91.5 {
		t.Errorf("minimum = %v", p.Unit.Coverage.Minimum)
	}
	if got := p.Security.Allow[0].Line; got != 6 {
		t.Errorf("the allow-list entry is at line %d, want 6", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"unknown key", "qualty: {}\n", `pipeline.yaml:1:1: unknown key "qualty" in pipeline.yaml: did you mean "quality"?`},
		{"unknown nested key", "quality:\n  pylint:\n    minimum: 8\n", `pipeline.yaml:3:5: unknown key "minimum" in quality.pylint: did you mean "minimum_score"?`},
		{"nothing near", "unit: {zzzzzzzz: 1}\n", "valid here: coverage, least_covered, quarantine, rerun, slowest, test_timeout, workers"},
		{"text for a number", "quality: {pylint: {jobs: two}}\n", `pipeline.yaml:1:26: quality.pylint.jobs is the text "two", not a whole number: write digits only`},
		{"quoted number", "unit: {coverage: {minimum: \"80\"}}\n", `the text "80", not a number: write it without quotes`},
		{"number for a text", "python: {version: 3.11}\n", `pipeline.yaml:1:19: python.version is 3.11, not a text: put it in quotes: "3.11"`},
		{"text for a list", "source: src\n", `pipeline.yaml:1:9: source is the text "src", not a list`},
		{"list for a mapping", "unit: [a]\n", "pipeline.yaml:1:7: unit is a list, not a mapping"},
		{"text for a mapping", "unit: yes please\n", "not a mapping"},
		{"yes for true", "security: {secrets: {history: yes}}\n", "not true or false"},
		{"no value", "unit:\n", "pipeline.yaml:1:7: unit has no value"},
		{"number for a duration", "run: {timeout: 60}\n", "not a duration: write a number with a unit"},
		{"bad duration", "run: {timeout: 5 minutes}\n", `the text "5 minutes", not a duration`},
		{"zero duration", "run: {timeout: 0s}\n", "run.timeout is 0s: choose a time above zero"},
		{"coverage above 100", "unit:\n  coverage:\n    minimum: 101\n", "pipeline.yaml:3:14: unit.coverage.minimum is 101, a threshold that nothing can miss or nothing can meet: choose more than 0 and at most 100"},
		{"coverage of 0", "unit: {coverage: {minimum: 0}}\n", "nothing can miss"},
		{"coverage not a number", "unit: {coverage: {minimum: .nan}}\n", "not a number"},
		{"score above 10", "quality: {pylint: {minimum_score: 11}}\n", "at most 10"},
		{"negative jobs", "run: {jobs: -1}\n", "run.jobs is -1: choose 0 to 1024"},
		{"huge number", "run: {jobs: 99999999999999999999999}\n", "pipeline.yaml:1:"},
		{"unknown stage", "run: {budgets: {untit: 1m}}\n", `did you mean "unit"?`},
		{"severity", "security: {bandit: {severity: hihg}}\n", `did you mean "high"?`},
		{"version", "version: 2\n", "version is 2: this program reads version 1"},
		{"path outside", "source: [../other]\n", `pipeline.yaml:1:10: source[0] is "../other", outside of the project`},
		{"absolute path", "source: [/etc]\n", "outside of the project"},
		{"path like an option", "source: [--help]\n", "take for an option"},
		{"missing path", "quality: {paths: [srcc]}\n", `quality.paths[0] is "srcc": no such file or directory`},
		{"empty path", "source: [\"\"]\n", "source[0] is empty"},
		{"smoke test of no JSON", "image:\n  images:\n    - {name: api, dockerfile: Dockerfile, repository: api, budget: 1, smoke: {port: 1, path: /, healthy: 1s, stop: 1s, memory: 16, request: {path: /predict, body: '{'}}}\n", "image.images[0].smoke.request has no path that begins with /"},
		{"allowed without reason", "security:\n  allow:\n    - {tool: bandit, rule: B101, expires: \"2027-01-01\"}\n", "pipeline.yaml:3:7: security.allow[0] has no reason"},
		{"allowed without date", "security: {allow: [{tool: bandit, rule: B1, reason: r}]}\n", "not a date"},
		{"allowed for ever", "security: {allow: [{tool: bandit, rule: B1, reason: r, expires: never}]}\n", `is "never", not a date`},
		{"unknown tool", "security: {allow: [{tool: bandid, rule: B1, reason: r, expires: \"2027-01-01\"}]}\n", `did you mean "bandit"?`},
		{"environment name", "environments: {Staging!: {required: []}}\n", "no name for an environment"},
		{"variable name", "environments: {staging: {required: [lower]}}\n", `"lower" is no name for a variable`},
		{"tab", "unit:\n\tworkers: 1\n", "pipeline.yaml:2"},
		{"unclosed quote", "name: \"x\n", "pipeline.yaml:1"},
		{"same key twice", "name: a\nname: b\n", "pipeline.yaml:2:1"},
		{"two documents", "version: 1\n---\nversion: 1\n", "a second document begins"},
		{"alias", "source: &s [src]\nquality: {paths: *s}\n", "write the value out"},
		{"Latin-1", "name: z\xe4hler\n", "pipeline.yaml:1: it is not UTF-8 text: save it as UTF-8"},
		{"UTF-16", "\xff\xfev\x00e\x00r\x00", "not UTF-8"},
		{"NUL", "name: a\x00b\n", "not UTF-8"},
		{"a scalar", "hello\n", "not a mapping"},
		{"a list", "- a\n", "not a mapping"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(project(t, tc.yaml))
			if _, ok := errors.AsType[Problems](err); !ok {
				t.Fatalf("error = %v, want Problems", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%s\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
}

func TestLoadReportsEveryProblemInOrder(t *testing.T) {
	_, err := Load(project(t, "unit:\n  workers: -1\nrun:\n  jobs: -1\nversion: 3\n"))
	problems, _ := errors.AsType[Problems](err)
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if diff := cmp.Diff([]int{2, 4, 5}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s\n%v", diff, err)
	}
}

func TestLoadRefusesADirectory(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, FileName), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "make it a readable file") {
		t.Errorf("error = %v", err)
	}
}

// The repository's own pipeline.yaml is the documentation of the format: it is valid and names every key.
func TestOwnFileIsComplete(t *testing.T) {
	root := filepath.Join("..", "..")
	if _, err := Load(root); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, FileName))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(content, &tree); err != nil {
		t.Fatal(err)
	}
	for _, missing := range missingKeys(tree, reflect.TypeFor[Project](), "") {
		shown := map[string]string{"security.allow[]": "#   - tool:", "unit.quarantine[]": "#   - test:"}
		list, _, _ := strings.Cut(missing, "[]")
		if mark, ok := shown[list+"[]"]; ok && strings.Contains(string(content), mark) {
			// An entry can't be shown live; it stands in the comment, where each of its keys must be.
			key := missing[strings.LastIndexByte(missing, '.')+1:]
			if strings.Contains(string(content), " "+key+":") {
				continue
			}
		}
		t.Errorf("pipeline.yaml does not name %s", missing)
	}
}

// missingKeys lists the keys of t that tree lacks.
func missingKeys(tree any, t reflect.Type, path string) []string {
	var missing []string
	switch t.Kind() {
	case reflect.Struct:
		values, _ := tree.(map[string]any)
		for key, field := range strict.Keys(t) {
			value, ok := values[key]
			if !ok {
				missing = append(missing, strict.Join(path, key))
				continue
			}
			missing = append(missing, missingKeys(value, field, strict.Join(path, key))...)
		}
	case reflect.Map:
		values, _ := tree.(map[string]any)
		for _, value := range values {
			missing = append(missing, missingKeys(value, t.Elem(), path+".*")...)
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			values, _ := tree.([]any)
			if len(values) == 0 {
				values = []any{map[string]any{}}
			}
			for _, value := range values {
				missing = append(missing, missingKeys(value, t.Elem(), path+"[]")...)
			}
		}
	default:
	}
	return missing
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "version: 1\n", "unit: {coverage: {minimum: 80}}\n", "source: [src]\n", "a: &b c\n", "---\n---\n", "? x\n", "run: {timeout: 5m}\n"} {
		f.Add([]byte(seed))
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		err := decode(content, Default(root))
		if err == nil {
			return
		}
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("error of another kind: %v", err)
		}
		for _, p := range problems {
			if p.Message == "" || strings.Contains(p.Message, "\n") {
				t.Errorf("message %q", p.Message)
			}
		}
	})
}
