package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Show writes down for people what bundles say: which stage, its verdict and numbers, when, where and by whom, and
// whether a trusted key stands behind it. What none stands behind is shown as the claim that it is.
func Show(title string, bundles []Found, keys []PublicKey) string {
	entries := make([]entry, 0, len(bundles))
	for _, found := range bundles {
		entries = append(entries, look(found, keys))
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.order, b.order), b.finished.Compare(a.finished), strings.Compare(a.title, b.title), strings.Compare(a.origin, b.origin))
	})
	var b strings.Builder
	good := 0
	for _, e := range entries {
		if e.valid {
			good++
		}
	}
	fmt.Fprintf(&b, "%s: %d of %d statements are signed by a trusted key\n", plain.Line(title), good, len(entries))
	for _, e := range entries {
		e.write(&b)
	}
	return b.String()
}

// An entry is one bundle as it is shown.
type entry struct {
	order     int
	title     string
	origin    string
	finished  time.Time
	valid     bool
	signature string
	rows      [][]string
}

// look reads a bundle, trusted or not. Without a single readable byte there is still its origin to show.
func look(found Found, keys []PublicKey) entry {
	e := entry{origin: found.Origin, order: len(config.StageNames()) + 3}
	signed, err := Open(found.Content, keys)
	s := signed.Statement
	switch {
	case err == nil:
		e.valid, e.signature = true, fmt.Sprintf("valid, by key %.19s…", signed.Signer)
	case errors.Is(err, ErrForeign):
		s, e.signature = claimed(found.Content), "FOREIGN, "+err.Error()+": what follows is a claim"
	default:
		s, e.signature = claimed(found.Content), "NOT VALID, "+err.Error()+": what follows is a claim"
	}
	if s == nil {
		e.title = "unreadable"
		return e
	}
	e.describe(s)
	return e
}

func (e *entry) describe(s *Statement) {
	e.title = s.GetPredicateType()
	for _, subject := range s.GetSubject() {
		for _, algorithm := range []string{gitTree, sha256sum} {
			if value, ok := subject.GetDigest()[algorithm]; ok {
				e.row("about", fmt.Sprintf("%s %s:%s", subject.GetName(), algorithm, value))
			}
		}
	}
	switch s.GetPredicateType() {
	case ProvenanceType:
		e.order, e.title = 0, "provenance"
		if o, err := s.origin(); err == nil {
			e.finished = o.Finished
			e.row("made of", "source tree "+o.Tree+", commit "+o.Commit)
			e.row("base", cmp.Or(o.Base, "not named"))
			e.row("model", cmp.Or(o.Model, "none"))
			e.place(o.Place, o.Run)
		} else {
			e.row("unreadable", err.Error())
		}
	case SBOMType:
		e.order, e.title = len(config.StageNames())+1, "bill of materials"
		if n, err := s.components(); err == nil {
			e.row("lists", fmt.Sprintf("%d components", n))
		} else {
			e.row("unreadable", err.Error())
		}
	case TestResultType, VulnsType:
		e.stage(s)
	}
}

func (e *entry) stage(s *Statement) {
	stage, err := s.stage()
	if err != nil {
		e.row("unreadable", err.Error())
		return
	}
	if at := slices.Index(config.StageNames(), stage.Stage); at >= 0 {
		e.order = at + 1
	}
	e.finished = stage.Finished
	e.title = stage.Stage + " " + strings.ToUpper(stage.Status)
	if s.GetPredicateType() == VulnsType {
		e.title = stage.Stage + " scan for vulnerabilities"
	}
	e.place(stage.Place, stage.Run)
	if stage.Model != "" {
		e.row("model", stage.Model)
	}
	for _, step := range stage.Steps {
		e.step(step)
	}
}

func (e *entry) step(step Step) {
	said := []string{step.Status}
	switch step.Status {
	case string(engine.StatusSkipped), string(engine.StatusError):
		said = append(said, step.Reason)
	default:
		said = append(said, fmt.Sprintf("%d %s", step.Judged, orThings(step.Unit)))
	}
	for _, metric := range step.Metrics {
		metric.Value = math.Round(metric.Value*1000) / 1000
		text := metric.text()
		if metric.Direction != "" {
			text += fmt.Sprintf(" (%s %v)", words(metric.Direction), metric.Threshold)
		}
		said = append(said, text)
	}
	for _, severity := range slices.Backward(severities()) {
		if n := step.Findings[severity]; n > 0 {
			said = append(said, fmt.Sprintf("%d findings of severity %s", n, severity))
		}
	}
	if len(step.Allowed) > 0 {
		said = append(said, fmt.Sprintf("%d let through", len(step.Allowed)))
	}
	for _, warning := range step.Warnings {
		said = append(said, "warning: "+warning)
	}
	e.row(step.Name, strings.Join(said, ", "))
}

func (e *entry) place(p Place, run string) {
	where := map[string]string{BuilderGitHub: "GitHub's runner", BuilderSelfHosted: "self-hosted runner", BuilderLocal: "local machine"}[p.Builder]
	if where == "" {
		where = p.Builder
	}
	e.row("where", strings.TrimSpace(where+" "+p.Machine)+", run "+cmp.Or(p.URL, run))
	e.row("by", cmp.Or(p.By, "nobody that is named"))
}

func (e *entry) row(cells ...string) { e.rows = append(e.rows, cells) }

func (e *entry) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s  %s\n", plain.Line(e.title), dated(e.finished))
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "  signature\t%s\n", plain.Line(e.signature)) // a Builder takes everything
	for _, row := range e.rows {
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", plain.Line(row[0]), plain.Line(strings.Join(row[1:], " ")))
	}
	_, _ = fmt.Fprintf(w, "  bundle\t%s\n", plain.Line(e.origin))
	_ = w.Flush()
}

// dated writes a time, or that there is none: a bill of materials is of its digest, and so of any time.
func dated(t time.Time) string {
	if t.IsZero() {
		return "of no date"
	}
	return t.UTC().Format(time.DateTime) + " UTC"
}

// Text is a verdict for people: what is missing comes last.
func (v Verdict) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, a := range v.Accepted {
		_, _ = fmt.Fprintf(w, "proven\t%s\t%s\tkey %.19s…\n", a.What, dated(a.Finished), a.Signer)
	}
	for _, r := range v.Refused {
		_, _ = fmt.Fprintf(w, "not counted\t%s\t%.19s…\t%s\n", plain.Line(r.Claims), plain.Line(r.Origin), plain.Line(r.Reason))
	}
	_ = w.Flush()
	for _, m := range v.Missing {
		fmt.Fprintf(&b, "\nmissing   %s\n  found     %s\n  expected  %s\n  remedy    %s\n", plain.Line(m.What), plain.Line(m.Found), plain.Line(m.Expected), plain.Line(m.Remedy))
	}
	word := "meets"
	if !v.Met {
		word = "does not meet"
	}
	fmt.Fprintf(&b, "\n%s %s the policy %s", v.Digest, word, v.Policy)
	if len(v.Missing) > 0 {
		fmt.Fprintf(&b, ": %d missing", len(v.Missing))
	}
	b.WriteString("\n")
	return b.String()
}

// Digests are the images that the bundles of a directory have a provenance of, which a trusted key signed.
func Digests(bundles []Found, keys []PublicKey) []string {
	var digests []string
	for _, found := range bundles {
		signed, err := Open(found.Content, keys)
		if err != nil || signed.GetPredicateType() != ProvenanceType {
			continue
		}
		for _, subject := range signed.GetSubject() {
			if value, ok := subject.GetDigest()[sha256sum]; ok {
				digests = append(digests, sha256sum+":"+value)
			}
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}
