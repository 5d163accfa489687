package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
)

// enough problems make the point.
const enough = 20

// A Report is what Verify found.
type Report struct {
	Entries  uint64 // lines that are entries
	Head     Anchor
	Problems []Problem // none: the chain is whole
	// Anchored says that an anchor from outside of the directory was found in its place. Without one a cut at the very
	// end, or a log that was written anew from its first line, can't be told from the true one.
	Anchored bool
	// After is how many entries stand behind that anchor, for which only the chain itself vouches.
	After uint64
}

// Err is nil if nothing is wrong. A log without an anchor is not wrong, only unanchored.
func (r Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDamaged, r.Problems[0])
}

// String says it in one line for each problem, or one in all.
func (r Report) String() string {
	if len(r.Problems) > 0 {
		lines := make([]string, len(r.Problems))
		for i, p := range r.Problems {
			lines[i] = LogFile + " " + p.String()
		}
		return strings.Join(lines, "\n")
	}
	switch {
	case !r.Anchored:
		return fmt.Sprintf("%d entries, the chain is whole, but unanchored: a cut at its end would not show", r.Entries)
	case r.After > 0:
		return fmt.Sprintf("%d entries, the chain is whole and anchored, but for the last %d", r.Entries, r.After)
	default:
		return fmt.Sprintf("%d entries, the chain is whole and anchored", r.Entries)
	}
}

// Verify reads the whole log of a directory and changes nothing. The anchor is one that was kept elsewhere, or the
// zero Anchor; the one in release.json is looked at as well. A directory without a log has no entry, which is a problem
// for any anchor.
func Verify(ctx context.Context, dir string, anchor Anchor) (r Report, err error) {
	v := verifier{anchors: []*claim{{Anchor: anchor, from: "the anchor"}}}
	var problems []Problem
	release, err := ReadRelease(dir)
	switch {
	case errors.Is(err, ErrDamaged):
		problems = append(problems, Problem{0, err.Error()})
	case err != nil:
		return r, err
	default:
		v.anchors = append(v.anchors, &claim{Anchor: release.Audit, from: ReleaseFile})
	}
	err = shared(ctx, dir, func(log io.Reader) (err error) {
		r, err = v.verify(log)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("verify audit log: %w", err)
	}
	r.Problems = append(problems, r.Problems...)
	return r, nil
}

// Read hands over the entries of a log in their order. What does not fit comes back as ErrDamaged at its end; a torn
// last line is left out.
func Read(ctx context.Context, dir string, each func(Entry) error) error {
	s := scanner{at: start(), limit: enough}
	err := shared(ctx, dir, func(log io.Reader) error {
		_, err := s.scan(log, each)
		return err
	})
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	return Report{Problems: s.problems}.Err()
}

// shared reads the log while nobody writes: a line that is just being written is not torn. No log is an empty one.
func shared(ctx context.Context, dir string, do func(io.Reader) error) (err error) {
	file, err := os.Open(filepath.Join(dir, LogFile))
	if errors.Is(err, fs.ErrNotExist) {
		return do(strings.NewReader(""))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := filelock.Share(ctx, file); err != nil {
		return err
	}
	return do(file)
}

// A verifier looks out for entries that somebody claims to have seen.
type verifier struct {
	entries uint64
	anchors []*claim
}

type claim struct {
	Anchor
	from    string
	met     bool
	another bool // in its place stands another entry
}

func (v *verifier) verify(log io.Reader) (Report, error) {
	s := scanner{at: start(), limit: enough}
	tail, err := s.scan(log, v.see)
	if err != nil {
		return Report{}, err
	}
	if len(tail) > 0 {
		s.report("it has no line end: it was torn by a kill (the next deploy heals that) or cut")
	}
	last := s.at.head.Sequence
	for _, c := range v.anchors {
		if what := c.wrong(last); what != "" && len(s.problems) < enough {
			s.report(what)
		}
	}
	r := Report{Entries: v.entries, Head: s.at.head, Problems: s.problems, Anchored: v.anchors[0].met}
	if r.Anchored {
		r.After = last - v.anchors[0].Sequence
	}
	return r, nil
}

func (v *verifier) see(e Entry) error {
	v.entries++
	for _, c := range v.anchors {
		c.see(e)
	}
	return nil
}

func (c *claim) see(e Entry) {
	if c.Sequence > 0 && c.Sequence == e.Sequence {
		c.met = c.Hash == e.Hash
		c.another = !c.met
	}
}

func (c *claim) wrong(last uint64) string {
	switch {
	case c.Sequence == 0 || c.met:
		return ""
	case c.another:
		return fmt.Sprintf("entry %d is not the one that %s knows: the log was written anew", c.Sequence, c.from)
	default:
		return fmt.Sprintf("the log ends with entry %d, and %s knows entry %d: its end was cut off", last, c.from, c.Sequence)
	}
}
