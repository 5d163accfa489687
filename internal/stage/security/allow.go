package security

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// allowList is what pipeline.yaml lets through, as of a day.
type allowList struct {
	entries []config.Allow
	today   time.Time
	// as is the tool's name in the list where another stage uses the tool: "image:packages". There the entries for the
	// tool itself count, too, and this stage alone says which of those ended or match nothing.
	as string
}

// A candidate is a finding with what an entry can name it by, beside its path.
type candidate struct {
	engine.Finding
	aliases []string // other names of the rule: a CVE has several
	pkg     string
	inside  string // path in an image, beside that of the file of the project which makes the image
}

// apply puts the findings of one tool through the list. An entry whose day has come lets nothing through, and is a
// finding of its own, so that it is renewed or removed instead of forgotten; one that matches nothing is warned about.
func (l allowList) apply(tool string, candidates []candidate, j *engine.Judgement) {
	own := tool
	if l.as != "" {
		own = l.as
	}
	used := make([]bool, len(l.entries))
	for _, c := range candidates {
		let := -1
		for i, entry := range l.entries {
			if entry.Tool != tool && entry.Tool != own || !matches(entry, c) {
				continue
			}
			used[i] = true
			if let < 0 && !l.expired(entry) {
				let = i
			}
		}
		if let < 0 {
			j.Findings = append(j.Findings, c.Finding)
			continue
		}
		entry := l.entries[let]
		j.Allowed = append(j.Allowed, engine.Allowed{Finding: c.Finding, Reason: entry.Reason, Expires: entry.Expires})
	}
	for i, entry := range l.entries {
		switch {
		case entry.Tool != own:
		case l.expired(entry):
			j.Findings = append(j.Findings, expiredFinding(entry, used[i]))
		case !used[i]:
			j.Warnings = append(j.Warnings, fmt.Sprintf("%s:%d: the exception for %s matches nothing: remove it", config.FileName, entry.Line, described(entry)))
		}
	}
}

// expired: on its day an entry no longer counts. A date that can't be read has passed.
func (l allowList) expired(entry config.Allow) bool {
	if _, err := time.Parse(time.DateOnly, entry.Expires); err != nil {
		return true
	}
	return l.today.Format(time.DateOnly) >= entry.Expires
}

func matches(entry config.Allow, c candidate) bool {
	names := append([]string{c.Rule}, c.aliases...)
	if !slices.ContainsFunc(names, func(name string) bool { return name != "" && strings.EqualFold(name, entry.Rule) }) {
		return false
	}
	if in := path.Clean(entry.Path); entry.Path != "" && in != c.Path && in != c.inside {
		return false
	}
	return entry.Package == "" || canonical(entry.Package) == canonical(c.pkg)
}

func expiredFinding(entry config.Allow, used bool) engine.Finding {
	f := engine.Finding{
		Rule: "exception-expired", Severity: engine.SeverityHigh, Path: config.FileName, Line: entry.Line,
		Message: fmt.Sprintf("the exception for %s ended on %s (it was made because: %s)", described(entry), entry.Expires, python.Shorten(entry.Reason, 200)),
		Help:    "mend what it lets through and remove it, or give it a new date if its reason still holds",
	}
	if !used {
		f.Help = "remove it: nothing that it would let through is there any more"
	}
	return f
}

func described(entry config.Allow) string {
	text := entry.Tool + " " + entry.Rule
	if entry.Package != "" {
		text += " of " + entry.Package
	}
	if entry.Path != "" {
		text += " in " + entry.Path
	}
	return text
}

var separators = regexp.MustCompile(`[-_.]+`)

// canonical is how an index compares names of packages (PEP 503).
func canonical(pkg string) string {
	return strings.ToLower(separators.ReplaceAllString(pkg, "-"))
}
