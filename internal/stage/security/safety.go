package security

import (
	"context"
	_ "embed" // the probe
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

//go:embed probe.py
var probe string

// safetyNeed is the environment apart that has safety in it, if the project keeps one, since its pins are narrow.
func safetyNeed(p *config.Project) engine.Need {
	if _, apart := p.Python.Apart[safety]; apart {
		return engine.NeedPython + ":" + safety
	}
	return engine.NeedPython
}

const (
	safetyReport    = "safety-report.json"
	mergedFile      = "locked-requirements.txt"
	safetyHome      = "home"
	safetyCacheFile = ".safety/200/cache.json" // in its home; 200 is the database's schema
)

// safetyArgs: the online database goes into a cache in the step's own home, where its date can be read; a local one
// is named. The report goes to a file, since a banner surrounds it on stdout.
func safetyArgs(scratch, report, local string) []string {
	args := python.Module("safety", "--disable-optional-telemetry", "check",
		"--file="+filepath.Join(scratch, mergedFile), "--save-json="+report)
	if local == "" {
		return append(args, "--cache=3600")
	}
	return append(args, "--db="+local)
}

// safetyFunc judges the locked requirements of the system, not the environment that the tools themselves run in.
func safetyFunc(p *config.Project, allow allowList, today time.Time) func(context.Context, engine.Scope) (engine.Judgement, error) {
	return func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
		requirements, err := readRequirements(p.Root, p.Security.Safety.Requirements)
		if err != nil {
			return engine.Judgement{}, err
		}
		var result safetyResult
		var j engine.Judgement
		if len(requirements.pins) > 0 {
			run := safetyRun{project: p, scope: scope, requirements: requirements, today: today, report: safetyReport}
			if result, err = run.consult(ctx, &j); err != nil {
				return engine.Judgement{}, err
			}
		}
		if err := judgeSafety(requirements, result, allow, &j); err != nil {
			return engine.Judgement{}, err
		}
		return j, nil
	}
}

// safetyRun asks one database, or the other.
type safetyRun struct {
	project      *config.Project
	scope        engine.Scope
	requirements locked
	today        time.Time
	report       string // name of the file in the artifacts
}

// consult asks the online database if it can be reached, and else the local one. What neither can answer is an error.
func (r safetyRun) consult(ctx context.Context, j *engine.Judgement) (safetyResult, error) {
	merged := filepath.Join(r.scope.Scratch, mergedFile)
	if err := os.WriteFile(merged, r.requirements.merged(), 0o600); err != nil {
		return safetyResult{}, fmt.Errorf("write requirements for safety: %w", err)
	}
	result, onlineErr := r.online(ctx, j)
	if onlineErr == nil || ctx.Err() != nil || errors.Is(onlineErr, errNoProbe) {
		return result, onlineErr
	}
	dir, source := localDirectory(r.project, r.scope.Env)
	if dir == "" {
		return result, fmt.Errorf("there is no advisory database: the online one can't be used (%w), and no local one is configured: "+
			"connect this machine to the internet, or name the directory of a local one in %s or in security.safety.database of pipeline.yaml",
			onlineErr, r.project.Security.Safety.DatabaseVariable)
	}
	db, err := openLocal(dir, source)
	if err != nil {
		return result, err
	}
	j.Notes = append(j.Notes, fmt.Sprintf("the online database can't be used (%s)", python.Shorten(onlineErr.Error(), 200)))
	db.note(j, r.today, r.project.Security.Safety.WarnAge.Std())
	return r.ask(ctx, dir)
}

// errNoProbe is for an environment in which not even the probe runs: another database would not help.
var errNoProbe = errors.New("so nobody could ask whether the online database can be reached")

// online looks first whether there is a way at all, in a second instead of half a minute.
func (r safetyRun) online(ctx context.Context, j *engine.Judgement) (safetyResult, error) {
	out, err := r.scope.Run(ctx, engine.Invocation{
		Program: python.Program, Args: []string{"-I", "-X", "utf8", "-c", probe}, Env: r.env(nil),
	})
	if err != nil {
		return safetyResult{}, err
	}
	if out.ExitCode != 0 {
		reason := python.LastLine(out.Stdout)
		if reason == "" { // it did not even get to ask
			return safetyResult{}, fmt.Errorf("%w, %w", python.Failure("safety", out), errNoProbe)
		}
		return safetyResult{}, errors.New(reason)
	}
	result, err := r.ask(ctx, "")
	if err != nil {
		return result, err
	}
	db := advisories{where: "online advisory database", made: cachedTime(filepath.Join(r.scope.Scratch, safetyHome, safetyCacheFile))}
	db.note(j, r.today, r.project.Security.Safety.WarnAge.Std())
	return result, nil
}

// ask runs safety with one database, online if local is empty.
func (r safetyRun) ask(ctx context.Context, local string) (safetyResult, error) {
	report := filepath.Join(r.scope.Artifacts, r.report)
	if err := os.Remove(report); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return safetyResult{}, fmt.Errorf("remove earlier report: %w", err)
	}
	without := []string(nil)
	if local != "" {
		without = []string{"SAFETY_API_KEY"} // with a key safety ignores the local database
	}
	out, err := r.scope.Run(ctx, engine.Invocation{
		Program: python.Program, Args: safetyArgs(r.scope.Scratch, report, local), Env: r.env(without),
	})
	if err != nil {
		return safetyResult{}, err
	}
	content, err := os.ReadFile(report)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return safetyResult{}, fmt.Errorf("read safety report: %w", err)
	}
	out.Reports = map[string][]byte{safetyReport: content}
	return parseSafety(out)
}

// env gives safety a home of its own: nothing of a user's login, settings and cache, and nothing left behind there.
func (r safetyRun) env(without []string) []string {
	env := maps.Clone(r.scope.Env)
	for _, key := range without {
		delete(env, key)
	}
	env["HOME"] = filepath.Join(r.scope.Scratch, safetyHome)
	env["SAFETY_SYSTEM_CONFIG_PATH"] = r.scope.Scratch
	env["SAFETY_REQUEST_TIMEOUT"] = "10"
	list := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list
}

// safetyResult is what is used of safety's JSON, version 1.1. What is nil is missing.
type safetyResult struct {
	Meta     *json.RawMessage `json:"report_meta"`
	Packages map[string]struct {
		Requirements []struct {
			Specifier string `json:"specifier"`
		} `json:"requirements"`
	} `json:"scanned_packages"`
	Announcements []struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"announcements"`
	Vulnerabilities *[]vulnerability `json:"vulnerabilities"`
	Ignored         []vulnerability  `json:"ignored_vulnerabilities"`
}

type vulnerability struct {
	ID            string   `json:"vulnerability_id"`
	Package       string   `json:"package_name"`
	Version       string   `json:"analyzed_version"`
	Advisory      string   `json:"advisory"`
	CVE           string   `json:"CVE"`
	Fixed         []string `json:"fixed_versions"`
	Page          string   `json:"more_info_url"`
	IgnoredReason string   `json:"ignored_reason"`
	IgnoredUntil  string   `json:"ignored_expires"`
	Severity      *struct {
		CVSS3 *struct {
			Score json.Number `json:"base_score"`
		} `json:"cvssv3"`
	} `json:"severity"`
}

// Exit codes of safety that come with a report.
const (
	safetyClean      = 0
	safetyVulnerable = 64
)

// parseSafety reads the report, if safety came to one: other exit codes are about the database or the requirements.
func parseSafety(out engine.Output) (safetyResult, error) {
	var result safetyResult
	if out.ExitCode != safetyClean && out.ExitCode != safetyVulnerable {
		return result, safetyError(out)
	}
	content, err := out.Report(safetyReport)
	if err != nil {
		return result, python.Failure("safety", out)
	}
	if err := json.Unmarshal(content, &result); err != nil {
		return result, fmt.Errorf("read safety report: %w", err)
	}
	if result.Meta == nil || result.Packages == nil || result.Vulnerabilities == nil {
		return result, errors.New("read safety report: it has no packages or no vulnerabilities")
	}
	if out.ExitCode == safetyVulnerable && len(*result.Vulnerabilities) == 0 {
		return result, python.ErrDisagrees
	}
	for _, a := range result.Announcements {
		if strings.Contains(a.Message, "is ignored by Safety") {
			return result, errors.New(python.Shorten(a.Message, 300))
		}
	}
	return result, nil
}

// safetyError puts safety's exit codes in words.
func safetyError(out engine.Output) error {
	meanings := map[int]string{
		65: "its API key is not valid", 66: "it made too many requests", 67: "it could not load the local database",
		68: "it could not fetch the database", 69: "the database is malformed", 71: "it could not read a requirement",
	}
	if meaning, ok := meanings[out.ExitCode]; ok {
		return fmt.Errorf("safety ended with exit code %d, %s: %s", out.ExitCode, meaning, python.LastLine(out.Stderr, out.Stdout))
	}
	return python.Failure("safety", out)
}
