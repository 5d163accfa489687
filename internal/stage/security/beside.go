package security

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// A Judge lends this stage's tools to another one: what it builds is judged by the same database, the same rules and
// the same exceptions as what it is built of.
type Judge struct {
	Project *config.Project
	Today   time.Time
	As      string // the other step, as in the list of exceptions: "image:packages"
}

// Tools of which the list of exceptions may speak, beside those of this stage: see Judge.As.
const (
	ImagePackages = "image:packages"
	ImageUpdates  = "image:updates"
	ImageSecrets  = "image:secrets"
)

func (g Judge) allow() allowList {
	return allowList{entries: g.Project.Security.Allow, today: g.Today, as: g.As}
}

// AdvisoryNeed is what must be provided for Packages.
func AdvisoryNeed(p *config.Project) engine.Need { return safetyNeed(p) }

// A Package is one exact version that was found somewhere.
type Package struct {
	Name    string
	Version string
	Of      string // what holds it, as a finding names it: "model_api (opt/venv/… in layer 3)"
	Path    string // the file of the project in which it can be changed
	Line    int    // 0: no single line
}

// Packages judges versions against the advisory database. Each must be one that the tool looked at. The tool's own
// report is kept under that name in the artifacts.
func (g Judge) Packages(ctx context.Context, scope engine.Scope, packages []Package, report string) (engine.Judgement, error) {
	var found locked
	for _, p := range packages {
		found.pins = append(found.pins, pin{canonical(p.Name), p.Version, p.Path, p.Line, p.Of})
	}
	if len(found.pins) == 0 {
		return engine.Judgement{}, errors.New("there is no package to judge")
	}
	var j engine.Judgement
	run := safetyRun{project: g.Project, scope: scope, requirements: found, today: g.Today, report: report}
	result, err := run.consult(ctx, &j)
	if err != nil {
		return engine.Judgement{}, err
	}
	if err := judgeSafety(found, result, g.allow(), &j); err != nil {
		return engine.Judgement{}, err
	}
	j.Unit = "packages"
	return j, nil
}

// Pinned returns what requirements files pin, with file and line, by the canonical names of the packages.
func Pinned(root string, files []string) (map[string]Package, error) {
	found, err := readRequirements(root, files)
	if err != nil {
		return nil, err
	}
	pinned := map[string]Package{}
	for _, p := range found.pins {
		if _, again := pinned[p.name]; !again {
			pinned[p.name] = Package{Name: p.name, Version: p.version, Path: p.path, Line: p.line}
		}
	}
	return pinned, nil
}

// A Secret is where the scanner saw one. It does not say what it is.
type Secret struct {
	Rule        string
	Description string
	File        string // relative to the directory that was scanned
	Line        int
}

// Secrets scans the files of a directory below the scope's scratch, by the project's own rules if it has any. It
// returns how many bytes of text were read, too.
func (g Judge) Secrets(ctx context.Context, scope engine.Scope, dir string) ([]Secret, int, error) {
	if err := errors.Join(checkRules(g.Project.Root), takeRules(g.Project.Root, dir)); err != nil {
		return nil, 0, err
	}
	result, err := runGitleaks(ctx, scope, dir, nil, gitleaksArgs("dir", scope.Scratch, filepath.Base(dir)+".json"))
	if err != nil {
		return nil, 0, err
	}
	var secrets []Secret
	for _, l := range distinct(result.leaks) {
		secrets = append(secrets, Secret{Rule: l.Rule, Description: plain.Line(l.Description), File: l.File, Line: l.Line})
	}
	return secrets, result.bytes, nil
}

// A Candidate is a finding that an exception may let through.
type Candidate struct {
	engine.Finding
	Package string // whom it is about
	Inside  string // path in an image
}

// Allow puts candidates into the judgement, through the exceptions for a tool of this stage and for the other step.
func (g Judge) Allow(tool string, found []Candidate, j *engine.Judgement) {
	candidates := make([]candidate, 0, len(found))
	for _, c := range found {
		candidates = append(candidates, candidate{Finding: c.Finding, pkg: c.Package, inside: c.Inside})
	}
	g.allow().apply(tool, candidates, j)
}

// SecretHelp is the remedy for a secret that was published in a place from which it can't be taken back.
func SecretHelp(how string) string {
	return fmt.Sprintf("revoke it where it is valid, then %s; if it is no secret, allow it in pipeline.yaml with a reason and a date", how)
}

// SecretPage tells more of the scanner's rules.
const SecretPage = gitleaksPage
