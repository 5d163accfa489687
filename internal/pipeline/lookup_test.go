package pipeline

import (
	"strings"
	"testing"
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
	got := goModules([]byte(list))
	if got.Unknown != "" || got.Looked != 2 || len(got.Packages) != 1 || got.Packages[0].Latest != "v2" {
		t.Errorf("%+v", got)
	}
	got = goModules([]byte(list + `{"Path":"d","Version":"v1","Error":{"Err":"no network"}}`))
	if got.Looked != 2 || got.Unknown != "the proxy does not tell of d" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "{", `{"Path":"me","Main":true}`} {
		if got := goModules([]byte(bad)); got.Unknown == "" || got.Looked != 0 {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	if got := goModules([]byte(`{"Path":"d","Error":{"Err":"x"}}`)); !strings.Contains(got.Unknown, "does not tell of d") {
		t.Errorf("%+v", got)
	}
}
