package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// recorded reads what apt said in a container: exit code, stdout, stderr.
func recorded(t testing.TB, name string) engine.Output {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "updates", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out engine.Output
	for _, f := range archive.Files {
		switch f.Name {
		case "exit":
			if out.ExitCode, err = strconv.Atoi(strings.TrimSpace(string(f.Data))); err != nil {
				t.Fatal(err)
			}
		case "stdout":
			out.Stdout = f.Data
		case "stderr":
			out.Stderr = f.Data
		}
	}
	return out
}

func TestUpdatesThatAptNames(t *testing.T) {
	for name, want := range map[string]string{
		"pending":    "19 security, 0 other, 0 kept, [bookworm-security]",
		"held":       "19 security, 0 other, 0 kept, [bookworm-security]", // what somebody told apt to leave alone is pending all the same
		"up-to-date": "0 security, 0 other, 0 kept, [bookworm-security]",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parseUpdates(recorded(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%d security, %d other, %d kept, %v", len(p.security), p.other, p.kept, p.suites); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestAnUpdateIsAFinding(t *testing.T) {
	p, err := parseUpdates(recorded(t, "pending"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range p.security {
		if u.name != "libssl3" {
			continue
		}
		got := u.candidate(shippedAs("model_api"), "openssl").Finding
		want := engine.Finding{
			Rule: "security-update", Severity: engine.SeverityHigh, Path: "docker/model_api/Dockerfile",
			Message: "image model_api: libssl3 3.0.20-1~deb12u2 has a security update pending: 3.0.22-1~deb12u2 (Debian-Security:12/oldstable-security [amd64])",
			Help:    got.Help, HelpURL: "https://security-tracker.debian.org/tracker/source-package/openssl",
		}
		if diff := cmp.Diff(want, got); diff != "" || got.Help == "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	t.Errorf("libssl3 is not among %v", p.security)
}

func TestAptThatCouldNotAskIsAnError(t *testing.T) {
	change := func(name string, change func(*engine.Output)) engine.Output {
		out := recorded(t, name)
		change(&out)
		return out
	}
	cut := func(mark string) engine.Output {
		return change("up-to-date", func(o *engine.Output) {
			o.Stdout = []byte(strings.Split(string(o.Stdout), mark)[0])
		})
	}
	for name, test := range map[string]struct {
		out  engine.Output
		want string
	}{
		"no-network":        {recorded(t, "no-network"), "Failed to fetch"},
		"no-apt":            {recorded(t, "no-apt"), "there is no apt-get"},
		"bad-signature":     {recorded(t, "bad-signature"), "GPG error"},
		"no-security-suite": {recorded(t, "no-security-suite"), "no source of apt in the image gives security updates"},
		"one-source-gone":   {recorded(t, "one-source-gone"), "does not have a Release file"},
		// An apt that does not know how to make a failed fetch an error says so in a warning, and ends well.
		"failed and ended well": {change("up-to-date", func(o *engine.Output) {
			o.Stderr = []byte("W: Failed to fetch http://debian.example/debian-security/dists/bookworm-security/InRelease  Connection timed out\nW: Some index files failed to download.\n")
		}), "Failed to fetch"},
		"cut off":       {cut("==> end"), "is not whole"},
		"cut off early": {cut("==> upgrade"), "is not whole"},
		"without a summary": {change("up-to-date", func(o *engine.Output) {
			o.Stdout = []byte(strings.ReplaceAll(string(o.Stdout), " upgraded, ", " what, "))
		}), "no summary"},
		"nothing": {engine.Output{}, "is not whole"},
		"a line that is no line": {change("pending", func(o *engine.Output) {
			o.Stdout = []byte(strings.Replace(string(o.Stdout), "Inst libssl3 [", "Inst libssl3 ", 1))
		}), "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := parseUpdates(test.out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v, want %q", p, err, test.want)
			}
		})
	}
}

func FuzzUpdates(f *testing.F) {
	files, err := filepath.Glob("testdata/updates/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("find recordings: %v", err)
	}
	for _, file := range files {
		out := recorded(f, strings.TrimSuffix(filepath.Base(file), ".txt"))
		f.Add(out.ExitCode, string(out.Stdout), string(out.Stderr))
	}
	f.Fuzz(func(t *testing.T, code int, stdout, stderr string) {
		p, err := parseUpdates(engine.Output{ExitCode: code, Stdout: []byte(stdout), Stderr: []byte(stderr)})
		if err == nil && (code != 0 || len(p.suites) == 0 || !strings.Contains(stdout, "==> end\n")) {
			t.Errorf("judged with exit code %d and suites %v", code, p.suites)
		}
		if got := strings.Count("\n"+stdout, "\nInst "); err == nil && len(p.security)+p.other > got {
			t.Errorf("%d and %d updates of %d lines", len(p.security), p.other, got)
		}
	})
}

func TestRecordingsNameNoMachine(t *testing.T) {
	files, err := filepath.Glob("testdata/updates/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if at := strings.Index(line, "://"); at >= 0 && !strings.HasPrefix(line[at:], "://debian.example/") {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}
