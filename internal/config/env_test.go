package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func environmentProject(t *testing.T, file string) *Project {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "env"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "env", "staging.env"), file)
	return &Project{Root: root, Environments: map[string]Environment{"staging": {
		Required: []string{"DATABASE_URL", "REGION"},
		Secrets:  []string{"DATABASE_URL"},
	}}}
}

func TestEnvironment(t *testing.T) {
	p := environmentProject(t, "REGION=north\nPORT=80\n")
	got, err := p.Environment("staging", []string{"PORT=8080", "DATABASE_URL=postgresql://u:secret@h/d", "HOME=/root", "REGION="})
	if err != nil {
		t.Fatal(err)
	}
	want := Variables{
		{Name: "DATABASE_URL", Value: "postgresql://u:secret@h/d", Origin: OriginProcess, Secret: true, Required: true},
		{Name: "PORT", Value: "8080", Origin: OriginProcess},
		{Name: "REGION", Value: "north", Origin: OriginFile, Required: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if shown := got[0].Shown(); shown != Masked {
		t.Errorf("a secret is shown as %q", shown)
	}
	if len(got.Missing()) != 0 {
		t.Errorf("missing = %v", got.Missing())
	}
}

func TestEnvironmentMissing(t *testing.T) {
	got, err := environmentProject(t, "# nothing\n").Environment("staging", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range got.Missing() {
		names = append(names, v.Name)
	}
	if diff := cmp.Diff([]string{"DATABASE_URL", "REGION"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	for _, tc := range []struct{ name, environment, file, want string }{
		{"unknown", "stagign", "", `there is no environment "stagign": did you mean "staging"?`},
		{"a secret in the file", "staging", "DATABASE_URL=postgresql://h/d\n", "DATABASE_URL is a secret, and has a value here: take it out"},
		{"an undeclared secret in the file", "staging", "SLACK_TOKEN=canary\n", "SLACK_TOKEN is a secret"},
		{"no NAME=value", "staging", "REGION=x\nthis is not a setting\n", "env/staging.env:2: a line is not NAME=value"},
		{"unclosed quote", "staging", "REGION=\"x\n", "env/staging.env:1"},
		{"bad name", "staging", "region=x\n", `"region" is no name`},
		{"Latin-1", "staging", "REGION=s\xfcd\n", "env/staging.env:1: it is not UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := environmentProject(t, tc.file).Environment(tc.environment, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want it to hold %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestEnvironmentFileWithCRLFAndMark(t *testing.T) {
	got, err := environmentProject(t, "\xef\xbb\xbfREGION=north\r\n").Environment("staging", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got[1].Value != "north" {
		t.Errorf("REGION = %q", got[1].Value)
	}
}

// The repository's own files: every declared variable is explained in the example, and no file holds a secret.
func TestOwnEnvironments(t *testing.T) {
	root := filepath.Join("..", "..")
	p, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root, "env", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, match := range regexp.MustCompile(`(?m)^([A-Z_]+)=$`).FindAllStringSubmatch(string(example), -1) {
		explained = append(explained, match[1])
	}
	for name := range p.Environments {
		variables, err := p.Environment(name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, v := range variables {
			if !slices.Contains(explained, v.Name) {
				t.Errorf("env/.env.example does not explain %s of %s", v.Name, name)
			}
		}
	}
}

func FuzzReadEnvFile(f *testing.F) {
	f.Add([]byte("A=b\n"))
	f.Add([]byte("A=\"b\n"))
	f.Add([]byte("export A=$B # c\n"))
	path := filepath.Join(f.TempDir(), "x.env")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		values, err := readEnvFile(path, "env/x.env")
		if err == nil {
			for name := range values {
				if !validVariable(name) {
					t.Errorf("name %q", name)
				}
			}
		}
	})
}
