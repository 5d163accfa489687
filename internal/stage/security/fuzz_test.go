package security

import (
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// list is an allow list with an entry that counts and one that does not any more.
func list() allowList {
	return allowList{today: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), entries: []config.Allow{
		{Tool: bandit, Rule: "B101", Expires: "2026-12-01"}, {Tool: bandit, Rule: "B102", Expires: "2026-01-01"},
	}}
}

func FuzzBandit(f *testing.F) {
	for _, seed := range stagetest.Seeds(f, bandit) {
		f.Add(seed.ExitCode, string(seed.Stderr), string(seed.Files["artifacts/bandit-report.json"]))
	}
	f.Fuzz(func(t *testing.T, code int, stderr, report string) {
		out := engine.Output{ExitCode: code, Stderr: []byte(stderr), Root: "{root}", Reports: map[string][]byte{banditReport: []byte(report)}}
		j, err := parseBandit(python.Tree{Root: "{root}", Files: []string{"src/a.py"}}, nil, list(), out)
		if err == nil && j.Judged <= 0 {
			t.Errorf("judged %d without an error", j.Judged)
		}
		if err == nil && code != 0 && len(j.Findings)+len(j.Allowed) == 0 {
			t.Errorf("exit code %d is green", code)
		}
	})
}

func FuzzSafety(f *testing.F) {
	for _, seed := range stagetest.Seeds(f, safety) {
		f.Add(seed.ExitCode, string(seed.Stderr), string(seed.Files["artifacts/"+safetyReport]))
	}
	requirements := locked{pins: []pin{{name: "flask", version: "2.0.0", path: "requirements.txt", line: 1}}, files: []string{"requirements.txt"}}
	f.Fuzz(func(t *testing.T, code int, stderr, report string) {
		result, err := parseSafety(engine.Output{ExitCode: code, Stderr: []byte(stderr), Reports: map[string][]byte{safetyReport: []byte(report)}})
		if err != nil {
			return
		}
		var j engine.Judgement
		if err := judgeSafety(requirements, result, list(), &j); err != nil {
			return
		}
		if !result.lookedAt(requirements.pins[0]) || j.Judged != 1 {
			t.Error("green without having looked at the one pin")
		}
		if len(*result.Vulnerabilities) != len(j.Findings) {
			t.Errorf("%d of %d vulnerabilities are findings", len(j.Findings), len(*result.Vulnerabilities))
		}
	})
}

func FuzzGitleaks(f *testing.F) {
	for _, seed := range stagetest.Seeds(f, secrets) {
		for _, report := range seed.Files {
			f.Add(seed.ExitCode, string(seed.Stderr), string(report))
		}
	}
	f.Fuzz(func(t *testing.T, code int, stderr, report string) {
		s, err := parseGitleaks(engine.Output{ExitCode: code, Stderr: []byte(stderr), Reports: map[string][]byte{secrets: []byte(report)}})
		if err == nil && (code != 0) != (len(s.leaks) > 0) {
			t.Errorf("exit code %d with %d leaks", code, len(s.leaks))
		}
		if kept := distinct(s.leaks); err == nil && len(s.leaks) > 0 && len(kept) == 0 {
			t.Error("no leak is left")
		}
	})
}

func FuzzRequirements(f *testing.F) {
	f.Add("numpy==1.21.0 \\\n    --hash=sha256:aa\n-r more.txt\n-e .\nflask>=2 ; python_version < '3'\n\ufeff# x\r\nx @ https://y\n\\")
	f.Fuzz(func(t *testing.T, content string) {
		pins, loose, _ := parseRequirements("r.txt", content)
		for _, p := range pins {
			if p.name == "" || p.version == "" || p.line < 1 {
				t.Errorf("pin %+v", p)
			}
		}
		for _, finding := range loose {
			if finding.Line < 1 {
				t.Errorf("finding without a line: %+v", finding)
			}
		}
	})
}

func FuzzDatabase(f *testing.F) {
	f.Add([]byte(`{"meta": {"schema_version": "2.0.0", "timestamp": 1728581705}, "vulnerable_packages": {"a": ["<1"]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if made, err := parseDatabase(content); err != nil && !made.IsZero() {
			t.Errorf("made %s with error %v", made, err)
		}
	})
}

func FuzzCommits(f *testing.F) {
	for _, seed := range stagetest.Seeds(f, secrets) {
		f.Add(string(seed.Stdout))
	}
	f.Fuzz(func(t *testing.T, log string) {
		if n := countCommits(log); n < 0 {
			t.Errorf("%d commits", n)
		}
	})
}
