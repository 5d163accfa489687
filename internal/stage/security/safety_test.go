package security_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// offline is a proxy that is not there: so the online database is out of reach on every machine.
func offline() []string {
	return []string{"HTTPS_PROXY=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9", "NO_PROXY=", "no_proxy="}
}

// advisory is one entry of a database in safety's format.
type advisory struct {
	Advisory string              `json:"advisory"`
	IDs      []map[string]string `json:"ids"`
	Specs    []string            `json:"specs"`
	Fixed    []string            `json:"fixed_versions"`
	Page     string              `json:"more_info_path"`
}

// database returns both files of an advisory database, made at the given time.
func database(made int64) (names, full string) {
	meta := map[string]any{"schema_version": "2.0.0", "timestamp": made, "base_domain": "https://advisories.invalid", "severities": map[string]any{
		"CVE-2023-0001": map[string]any{"cvssv3": map[string]any{"base_score": 9.8}},
	}}
	advisories := map[string][]advisory{
		"flask": {{
			Advisory: "Sessions can be read by others.", Specs: []string{"<2.3.2"}, Fixed: []string{"2.2.5", "2.3.2"}, Page: "/PYSEC-2023-62",
			IDs: []map[string]string{{"type": "pyup", "id": "55261"}, {"type": "cve", "id": "CVE-2023-30861"}},
		}},
		"requests": {{
			Advisory: "Leaks credentials to::add-mask::other hosts.", Specs: []string{"<2.31.0"}, Fixed: []string{}, Page: "/PYSEC-2023-74",
			IDs: []map[string]string{{"type": "pyup", "id": "58755"}, {"type": "cve", "id": "CVE-2023-0001"}},
		}},
		"zope-interface": {{
			Advisory: "No CVE was given.", Specs: []string{"<5.1"}, Fixed: []string{"5.1"}, Page: "/PYSEC-2020-1",
			IDs: []map[string]string{{"type": "pyup", "id": "PYSEC-2020-1"}},
		}},
	}
	ranges := map[string][]string{}
	for name, entries := range advisories {
		for _, entry := range entries {
			ranges[name] = append(ranges[name], entry.Specs...)
		}
	}
	write := func(packages any) string {
		content, err := json.Marshal(map[string]any{"meta": meta, "vulnerable_packages": packages})
		if err != nil {
			return err.Error() // which no parser takes for a database
		}
		return string(content)
	}
	return write(ranges), write(advisories)
}

const recent = 1794000000 // 2026-11-06

// withDatabase adds a local database to a project's files.
func withDatabase(made int64, files map[string]string) map[string]string {
	files["advisories/insecure.json"], files["advisories/insecure_full.json"] = database(made)
	return files
}

func local(p *config.Project) { p.Security.Safety.Database = "advisories" }

func both(changes ...func(*config.Project)) func(*config.Project) {
	return func(p *config.Project) {
		for _, change := range changes {
			change(p)
		}
	}
}

const (
	clean      = "numpy==2.0.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via pandas\nflask==3.0.0\n"
	vulnerable = "numpy==2.0.0\nFlask==2.0.0 ; python_version > \"3\"\nrequests[socks]===2.0.0\nzope.interface==5.0\n"
)

func safetySuite() stagetest.Suite {
	on := func(requirements string) map[string]string {
		return withDatabase(recent, map[string]string{"requirements.txt": requirements})
	}
	last := func(tamper func(*stagetest.Invocation)) func(*stagetest.Recording) {
		return func(r *stagetest.Recording) { tamper(&r.Invocations[len(r.Invocations)-1]) }
	}
	report := func(content string) func(*stagetest.Recording) {
		return last(func(i *stagetest.Invocation) { i.Files["artifacts/safety-report.json"] = stagetest.Text(content) })
	}
	code := func(code int) func(*stagetest.Recording) {
		return last(func(i *stagetest.Invocation) {
			i.ExitCode, i.Files = code, nil
		})
	}
	cases := []stagetest.Case{
		{Name: "clean", Files: on(clean), Project: local},
		{Name: "vulnerable", Live: true, Files: on(vulnerable), Project: local},
		{Name: "two-files", Files: withDatabase(recent, map[string]string{
			"requirements.txt": clean, "more/other.txt": "-r ../third.txt\nflask==2.0.0\nnumpy==2.0.0\n", "third.txt": "flask==2.0.0\n",
		}), Project: both(local, func(p *config.Project) {
			p.Security.Safety.Requirements = []string{"requirements.txt", "more/other.txt"}
		})},
		{Name: "unpinned", Files: on("numpy==2.0.0\nflask>=2\nrequests\njinja2==2.*\npkg @ https://example.invalid/pkg.tar.gz\n"), Project: local},
		{Name: "only-unpinned", Files: on("flask>=2\n"), Project: local},
		{Name: "version-that-is-none", Live: true, Files: on("numpy==2.0.0\nflask==2.0-no-version\n"), Project: local},
		{Name: "no-requirements", Files: on("# nothing\n"), Project: local},
		{Name: "missing-requirements", Files: withDatabase(recent, map[string]string{"src/a.py": ""}), Project: local},
		{Name: "no-database", Live: true, Files: map[string]string{"requirements.txt": clean}},
		{Name: "database-is-missing", Files: map[string]string{"requirements.txt": clean}, Project: local},
		{Name: "half-a-database", Files: map[string]string{"requirements.txt": clean, "advisories/insecure.json": `{"meta": {"schema_version": "2.0.0"}, "vulnerable_packages": {"a": ["<1"]}}`}, Project: local},
		{Name: "empty-database", Files: map[string]string{
			"requirements.txt":              clean,
			"advisories/insecure.json":      `{"meta": {"schema_version": "2.0.0"}, "vulnerable_packages": {}}`,
			"advisories/insecure_full.json": `{"meta": {"schema_version": "2.0.0"}, "vulnerable_packages": {}}`,
		}, Project: local},
		{Name: "torn-database", Files: map[string]string{"requirements.txt": clean, "advisories/insecure.json": `{"meta": {"sche`}, Project: local},
		{Name: "other-schema", Files: map[string]string{"requirements.txt": clean, "advisories/insecure.json": `{"meta": {"schema_version": "9"}, "vulnerable_packages": {"a": []}}`}, Project: local},
		{Name: "old-database", Files: withDatabase(1728581705, map[string]string{"requirements.txt": clean}), Project: local},
		{Name: "database-without-a-date", Files: withDatabase(0, map[string]string{"requirements.txt": clean}), Project: local},
		{Name: "database-of-the-future", Files: withDatabase(1900000000, map[string]string{"requirements.txt": clean}), Project: local},
		{Name: "database-by-variable", Files: on(vulnerable), Env: []string{"METER_ADVISORIES=advisories"}},
		{Name: "policy-lets-through", Live: true, Files: withDatabase(recent, map[string]string{
			"requirements.txt":   vulnerable,
			".safety-policy.yml": "security:\n  ignore-vulnerabilities:\n    55261:\n      reason: no sessions\n      expires: '2030-01-01'\n    58755:\n      reason: ''\n  continue-on-vulnerability-error: true\n",
		}), Project: local},
		{Name: "allowed-by-cve", Files: on("flask==2.0.0\n"), Project: both(local, allow("safety", "cve-2023-30861", "2026-12-01"))},
		{Name: "allowed-by-id-of-another-package", Files: on("flask==2.0.0\n"), Project: both(local, allow("safety", "55261", "2026-12-01"),
			func(p *config.Project) { p.Security.Allow[0].Package = "requests" })},
		{Name: "with-an-api-key", Files: on(clean), Project: local, Env: []string{"SAFETY_API_KEY=not-a-key"}},
		{Name: "online", Live: true, Files: map[string]string{"requirements.txt": vulnerable}, Serve: serveAdvisories(false)},
		{Name: "online-breaks-down", Live: true, Files: on(vulnerable), Project: local, Serve: serveAdvisories(true)},
		{Name: "tool-is-missing", Live: true, Bare: true, Files: on(clean), Project: local},
		{Name: "truncated-json", From: "vulnerable", Files: on(vulnerable), Project: local, Tamper: report(`{"report_meta": {}, "scanned`)},
		{Name: "empty-json", From: "vulnerable", Files: on(vulnerable), Project: local, Tamper: report("")},
		{Name: "json-without-packages", From: "vulnerable", Files: on(vulnerable), Project: local, Tamper: report(`{"report_meta": {}, "vulnerabilities": []}`)},
		{Name: "nothing-looked-at", From: "clean", Files: on(clean), Project: local, Tamper: report(`{"report_meta": {}, "scanned_packages": {}, "vulnerabilities": []}`)},
		{Name: "no-report", From: "clean", Files: on(clean), Project: local, Tamper: code(0)},
		{Name: "crashed", From: "clean", Files: on(clean), Project: local, Tamper: code(1)},
		{Name: "could-not-fetch", From: "clean", Files: on(clean), Project: local, Tamper: code(68)},
		{Name: "vulnerable-without-vulnerabilities", From: "clean", Files: on(clean), Project: local, Tamper: last(func(i *stagetest.Invocation) { i.ExitCode = 64 })},
	}
	for i := range cases {
		if cases[i].Serve == nil {
			cases[i].Env = append(cases[i].Env, offline()...)
		}
	}
	s := suite("safety", cases)
	s.Scrub = scrubSafety
	return s
}

var (
	machine = regexp.MustCompile(`"(os_type|os_release|os_description|python_version|safety_version|timestamp)": "[^"]*"`)
	wrapped = regexp.MustCompile(`\S*/TestSafety\S*`) // of a path that safety breaks into lines
	errno   = regexp.MustCompile(`\[Errno \d+\] ?`)
	address = regexp.MustCompile(`(?:NewConnectionError|HTTPSConnection|HTTPConnection)[^"']*: `)
)

func scrubSafety(s string) string {
	s = wrapped.ReplaceAllString(machine.ReplaceAllString(s, `"$1": "-"`), "{base}")
	return address.ReplaceAllString(errno.ReplaceAllString(s, ""), "")
}

func TestSafety(t *testing.T) { safetySuite().Test(t) }
