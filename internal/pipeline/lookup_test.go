package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func TestPythonPackages(t *testing.T) {
	got := pythonPackages([]byte(`[{"name":"num\u001b[31mpy","version":"1","latest_version":"2","latest_filetype":"wheel"}]`), []byte(`[{"name":"numpy","version":"1"},{"name":"b","version":"3"}]`))
	if got.Unknown != "" || got.Looked != 2 || len(got.Packages) != 1 || got.Packages[0].Name != "numpy" || got.Packages[0].Latest != "2" {
		t.Errorf("%+v", got)
	}
	for _, bad := range [][2]string{{"", "[]"}, {"[]", "{"}, {"[]", "[]"}} {
		if got := pythonPackages([]byte(bad[0]), []byte(bad[1])); got.Unknown == "" {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestGoModules(t *testing.T) {
	list := `{"Path":"me","Main":true}
{"Path":"a","Version":"v1","Update":{"Path":"a","Version":"v2"}}
{"Path":"b","Version":"v1","Indirect":true,"Update":{"Version":"v9"}}
{"Path":"c","Version":"v1"}`
	got := goModules([]byte(list), direct)
	if got.Unknown != "" || got.Looked != 2 || len(got.Packages) != 1 || got.Packages[0].Latest != "v2" {
		t.Errorf("%+v", got)
	}
	got = goModules([]byte(list+`{"Path":"d","Version":"v1","Error":{"Err":"no network"}}`), direct)
	if got.Looked != 2 || got.Unknown != "the proxy does not tell of d" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "{", `{"Path":"me","Main":true}`} {
		if got := goModules([]byte(bad), direct); got.Unknown == "" || got.Looked != 0 {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	if got := goModules([]byte(`{"Path":"d","Error":{"Err":"x"}}`), direct); !strings.Contains(got.Unknown, "does not tell of d") {
		t.Errorf("%+v", got)
	}
}

func TestModulesOfTools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "go.mod")
	for content, want := range map[string]string{
		"require (\na.org/x v1.0.0\na.org/x/v2 v2.0.0\na.org/xy v1.0.0\nb v1.0.0\n)\ntool a.org/x/v2/cmd/x\n": "a.org/x/v2",
		"require a.org/x v1.0.0 // indirect\ntool a.org/x\n":                                                  "a.org/x",
		"require a.org/x v1.0.0\ntool a.org/xy\n":                                                             "",
		"module m\n": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := modulesOfTools(path)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", content, got, err)
		}
	}
	if got, err := modulesOfTools(path + "x"); err == nil {
		t.Errorf("%q", got)
	}
}

// This repository's tools are all found, whatever the proxy says of them.
func TestToolsOfThisRepository(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(stagetest.Repository(t), toolModules))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if found, err := modulesOfTools(file); err != nil || len(found) == 0 {
			t.Errorf("%s: %q, %v", file, found, err)
		}
	}
}
