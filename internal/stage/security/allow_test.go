package security

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestAllow(t *testing.T) {
	found := candidate{
		Finding: engine.Finding{Rule: "CVE-2023-1", Path: "requirements/api.txt", Line: 3},
		aliases: []string{"PYSEC-2023-1"}, pkg: "Zope.Interface",
	}
	entry := func(change func(*config.Allow)) config.Allow {
		e := config.Allow{Tool: safety, Rule: "CVE-2023-1", Reason: "why", Expires: "2026-11-24", Line: 9}
		if change != nil {
			change(&e)
		}
		return e
	}
	for _, tc := range []struct {
		name    string
		entries []config.Allow
		want    string // findings, allowed, warnings
	}{
		{"no entry", nil, "1 0 0"},
		{"rule", []config.Allow{entry(nil)}, "0 1 0"},
		{"rule in other letters", []config.Allow{entry(func(e *config.Allow) { e.Rule = "cve-2023-1" })}, "0 1 0"},
		{"other name of the rule", []config.Allow{entry(func(e *config.Allow) { e.Rule = "PYSEC-2023-1" })}, "0 1 0"},
		{"package", []config.Allow{entry(func(e *config.Allow) { e.Package = "zope_interface" })}, "0 1 0"},
		{"path", []config.Allow{entry(func(e *config.Allow) { e.Path = "./requirements/api.txt" })}, "0 1 0"},
		{"other rule", []config.Allow{entry(func(e *config.Allow) { e.Rule = "CVE-2023-2" })}, "1 0 1"},
		{"part of the rule", []config.Allow{entry(func(e *config.Allow) { e.Rule = "CVE-2023" })}, "1 0 1"},
		{"no rule", []config.Allow{entry(func(e *config.Allow) { e.Rule = "" })}, "1 0 1"},
		{"other package", []config.Allow{entry(func(e *config.Allow) { e.Package = "zope" })}, "1 0 1"},
		{"other path", []config.Allow{entry(func(e *config.Allow) { e.Path = "requirements" })}, "1 0 1"},
		{"other tool", []config.Allow{entry(func(e *config.Allow) { e.Tool = bandit })}, "1 0 0"},
		{"last day was yesterday", []config.Allow{entry(func(e *config.Allow) { e.Expires = "2026-11-23" })}, "2 0 0"},
		{"long ago", []config.Allow{entry(func(e *config.Allow) { e.Expires = "2020-01-01" })}, "2 0 0"},
		{"no date", []config.Allow{entry(func(e *config.Allow) { e.Expires = "" })}, "2 0 0"},
		{"never, in words", []config.Allow{entry(func(e *config.Allow) { e.Expires = "never" })}, "2 0 0"},
		{"one of two counts", []config.Allow{entry(func(e *config.Allow) { e.Expires = "2026-01-01" }), entry(nil)}, "1 1 0"},
		{"two that count", []config.Allow{entry(nil), entry(nil)}, "0 1 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var j engine.Judgement
			list := allowList{entries: tc.entries, today: time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)}
			list.apply(safety, []candidate{found}, &j)
			if got := fmt.Sprint(len(j.Findings), len(j.Allowed), len(j.Warnings)); got != tc.want {
				t.Errorf("findings, allowed, warnings = %s, want %s: %+v", got, tc.want, j)
			}
			for _, f := range j.Findings {
				if f.Rule == "exception-expired" && (f.Path != "pipeline.yaml" || f.Line != 9 || f.Severity < engine.SeverityHigh) {
					t.Errorf("expired entry is %+v", f)
				}
			}
		})
	}
}

// Another stage that uses the tool takes the tool's entries, too, but only says of its own that they are spent.
func TestAllowForAnotherStage(t *testing.T) {
	found := candidate{Finding: engine.Finding{Rule: "CVE-2023-1", Path: "docker/api/Dockerfile"}, inside: "app/.env"}
	for _, tc := range []struct {
		name  string
		entry config.Allow
		want  string // findings, allowed, warnings
	}{
		{"the tool's", config.Allow{Tool: safety, Rule: "CVE-2023-1", Expires: "2026-11-24"}, "0 1 0"},
		{"its own", config.Allow{Tool: ImagePackages, Rule: "CVE-2023-1", Expires: "2026-11-24"}, "0 1 0"},
		{"another stage's", config.Allow{Tool: ImageSecrets, Rule: "CVE-2023-1", Expires: "2026-11-24"}, "1 0 0"},
		{"the tool's, ended", config.Allow{Tool: safety, Rule: "CVE-2023-1", Expires: "2026-11-01"}, "1 0 0"},
		{"its own, ended", config.Allow{Tool: ImagePackages, Rule: "CVE-2023-1", Expires: "2026-11-01"}, "2 0 0"},
		{"the tool's, for nothing here", config.Allow{Tool: safety, Rule: "CVE-2023-2", Expires: "2026-11-24"}, "1 0 0"},
		{"its own, for nothing", config.Allow{Tool: ImagePackages, Rule: "CVE-2023-2", Expires: "2026-11-24"}, "1 0 1"},
		{"in the image", config.Allow{Tool: ImagePackages, Rule: "CVE-2023-1", Path: "app/.env", Expires: "2026-11-24"}, "0 1 0"},
		{"elsewhere in the image", config.Allow{Tool: ImagePackages, Rule: "CVE-2023-1", Path: "app", Expires: "2026-11-24"}, "1 0 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var j engine.Judgement
			list := allowList{entries: []config.Allow{tc.entry}, today: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), as: ImagePackages}
			list.apply(safety, []candidate{found}, &j)
			if got := fmt.Sprint(len(j.Findings), len(j.Allowed), len(j.Warnings)); got != tc.want {
				t.Errorf("findings, allowed, warnings = %s, want %s: %+v", got, tc.want, j)
			}
		})
	}
}

func TestDistinct(t *testing.T) {
	inTree := leak{Rule: "r", File: "a", Line: 1, Match: "m"}
	sameInHistory := leak{Rule: "r", File: "a", Line: 1, Match: "m", Commit: "c2"}
	otherLine := leak{Rule: "r", File: "a", Line: 2, Match: "m", Commit: "c2"}
	older := leak{Rule: "r", File: "a", Line: 2, Match: "m", Commit: "c1"}
	otherFile := leak{Rule: "r", File: "b", Line: 1, Match: "m", Commit: "c2"}
	got := distinct([]leak{inTree, sameInHistory, otherLine, older, otherFile})
	if diff := cmp.Diff([]leak{inTree, older, otherFile}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewerThan(t *testing.T) {
	for version, want := range map[string]bool{
		"git version 2.39.5": true, "git version 2.35.1": false, "git version 2.36.0 (Apple Git-1)": true, "git version 3.0": true, "": false, "git version 1.99": false,
	} {
		if got := newerThan(version, 2, 35); got != want {
			t.Errorf("newerThan(%q) = %t, want %t", version, got, want)
		}
	}
}

func TestPathBelowThePrefix(t *testing.T) {
	for _, tc := range []struct{ prefix, file, commit, want string }{
		{"", "src/a.py", "", "src/a.py"},
		{"", "src/a.py", "c", "src/a.py"},
		{"", newPrefix + "src/a.py", "c", "src/a.py"},
		{"service/", "service/src/a.py", "c", "src/a.py"},
		{"service/", newPrefix + "service/src/a.py", "c", "src/a.py"},
		{"deep/service/", "other/a.py", "c", "../../other/a.py"},
	} {
		if got := (repository{prefix: tc.prefix}).path(leak{File: tc.file, Commit: tc.commit}); got != tc.want {
			t.Errorf("path of %q below %q = %q, want %q", tc.file, tc.prefix, got, tc.want)
		}
	}
}
