package provision

import (
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"uv 0.13.9 (x86_64-unknown-linux-gnu)\n": "0.13.9",
		"uv 0.5.0":                               "0.5.0",
		"pyenv: uv: command not found":           "",
		"":                                       "",
	} {
		if got, ok := parseUVVersion(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string][2]string{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n": {"15.14", "15"},
		"postgres (PostgreSQL) 9.6.24":                           {"9.6.24", "9"},
		"postgres (PostgreSQL) 18beta1":                          {"18beta1", "18"},
		"postgres (EnterpriseDB) 15.1":                           {"", ""},
	} {
		if version, major, ok := parseServerVersion(text); version != want[0] || major != want[1] || ok != (want[0] != "") {
			t.Errorf("%q: %q, %q, %v", text, version, major, ok)
		}
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{{"0.4.9", "0.5.0", true}, {"0.5.0", "0.5.0", false}, {"0.13.9", "0.5.0", false}, {"1.0", "0.5.0", false}, {"0.5", "0.5.1", true}} {
		if got := versionLess(test.a, test.b); got != test.want {
			t.Errorf("%s < %s = %v", test.a, test.b, got)
		}
	}
}

func FuzzDatabaseURL(f *testing.F) {
	for _, seed := range []string{
		"postgresql://a:s3cr3t@h:5432/x?sslmode=disable", "postgres:///x?host=/run/postgresql", "postgresql+psycopg://a@h/x",
		"host=h password=s3cr3t", "://", "postgresql://a:%zz@h/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		base, err := parseDatabaseURL(address)
		if err != nil {
			if len(address) > 12 && strings.Contains(err.Error(), address) {
				t.Errorf("the error quotes the address: %v", err)
			}
			return
		}
		again, err := parseDatabaseURL(withDatabase(base, "meter_test_1_2_abcdef"))
		if err != nil || again.Path != "/meter_test_1_2_abcdef" {
			t.Errorf("another database on the server of %q is at %v, %v", address, again, err)
		}
	})
}

func FuzzProgramVersions(f *testing.F) {
	f.Add("uv 0.13.9 (x)")
	f.Add("postgres (PostgreSQL) 15.14 (Debian)")
	f.Fuzz(func(t *testing.T, text string) {
		if version, ok := parseUVVersion(text); ok && versionLess(version, version) {
			t.Errorf("%s is older than itself", version)
		}
		if version, major, ok := parseServerVersion(text); ok && !strings.HasPrefix(version, major) {
			t.Errorf("%q: version %q, major %q", text, version, major)
		}
	})
}

func FuzzRequiredVersion(f *testing.F) {
	f.Add("require example.com/m/v8 v8.1.0")
	f.Add("require (\n\texample.com/m/v8 v8.30.1 // indirect\n)")
	f.Fuzz(func(t *testing.T, mod string) {
		if version, ok := requiredVersion([]byte(mod), "example.com/m/v8"); ok && !strings.Contains(mod, version) {
			t.Errorf("%q is not in %q", version, mod)
		}
	})
}
