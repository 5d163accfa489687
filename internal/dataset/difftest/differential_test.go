package difftest

import (
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

const (
	leastByHand  = 200
	generated    = 2000
	generateSeed = 20260101
)

// TestAgreesWithFrictionless compares verdict, rule, row and column of every sample.
func TestAgreesWithFrictionless(t *testing.T) {
	var samples []sample
	for _, c := range cellCases() {
		samples = append(samples, c.samples()...)
	}
	samples = append(samples, fileSamples()...)
	byHand := len(samples)
	if byHand < leastByHand {
		t.Fatalf("%d files by hand, want at least %d", byHand, leastByHand)
	}
	samples = append(samples, generate(generateSeed, generated)...)
	started := time.Now()
	answers := frictionless(t, samples)
	t.Logf("frictionless judged %d files by hand and %d generated ones in %v", byHand, generated, time.Since(started).Round(time.Millisecond))

	started = time.Now()
	judged := judgeAll(t, samples)
	seen := map[string]int{}
	good := 0
	for i, s := range samples {
		c, ours := judged[i].contract, judged[i].entries
		if answers[i].Valid && len(ours) == 0 {
			good++
		}
		compare(t, s, i < byHand, ours, answers[i], seen)
		agreesWithGo(t, s, c, ours)
	}
	for _, d := range differences() {
		if seen[d.name] == 0 {
			t.Errorf("no sample shows the difference %q any more: take it out", d.name)
		}
	}
	t.Logf("we did in %v; both pass %d of %d; differences: %v", time.Since(started).Round(time.Millisecond), good, len(samples), seen)
	if good < len(samples)/5 || good > len(samples)*4/5 {
		t.Errorf("%d of %d files are good: there should be enough of both kinds", good, len(samples))
	}
}

// A judged sample has our findings.
type judged struct {
	contract *contract.Contract
	entries  []entry
}

// judgeAll is our side, on all cores.
func judgeAll(t *testing.T, samples []sample) []judged {
	t.Helper()
	all := make([]judged, len(samples))
	dir := t.TempDir()
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for n := range workers {
		group.Go(func() {
			for i := n; i < len(samples); i += workers {
				c, err := samples[i].contract()
				if err == nil {
					all[i].contract = c
					all[i].entries, err = judge(t.Context(), filepath.Join(dir, strconv.Itoa(i)), samples[i], c)
				}
				if err != nil {
					t.Errorf("%s: %v", samples[i].name, err)
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

func judge(ctx context.Context, dir string, s sample, c *contract.Contract) ([]entry, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "sample.csv")
	for _, part := range append([]sample{{name: "sample", data: s.data}}, s.others...) {
		if err := os.WriteFile(filepath.Join(dir, part.name+".csv"), part.data, 0o600); err != nil {
			return nil, err
		}
	}
	open := func(resource string) (*contract.Contract, string, error) {
		for _, other := range s.others {
			if other.name == resource {
				c, err := other.contract()
				return c, filepath.Join(dir, resource+".csv"), err
			}
		}
		return nil, "", errors.New("no such data set: " + resource)
	}
	result, err := dataset.Validate(ctx, c, path, dataset.Options{
		Root: dir, Workers: 2, Memory: 1 << 20, Keep: 100_000, Scratch: dir, BlockSize: 64, Open: open,
	})
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range result.Findings {
		e := entry{rule: f.Rule, row: f.Row, field: f.Field, cell: f.Value, message: f.Message}
		if f.Rule == dataset.RulePrimaryKey || f.Rule == dataset.RuleForeignKey {
			e.field = 0 // it is about several
		}
		all = append(all, e)
	}
	return all, nil
}

// compare reports what differs and has no name, or whose name is not the sample's.
func compare(t *testing.T, s sample, byHand bool, ours []entry, theirs answer, seen map[string]int) {
	t.Helper()
	if theirs.Failure == "" && theirs.Valid != (len(theirs.Errors) == 0) {
		t.Fatalf("%s: frictionless contradicts itself: %+v", s.name, theirs)
	}
	onlyOurs, onlyTheirs := apart(slices.Clone(ours), theirs.entries(t))
	names := map[string]bool{}
	var unnamed []string
	for _, d := range differences() {
		if d.whole != nil && d.whole(s, ours) || d.crash != "" && strings.Contains(theirs.Failure, d.crash) {
			names[d.name] = true
			onlyOurs, onlyTheirs = nil, nil
		}
	}
	name := func(side string, entries []entry) {
		for _, e := range entries {
			if found := explain(s, ours, side == "ours", e); found != "" {
				names[found] = true
			} else {
				unnamed = append(unnamed, side+" "+e.String()+" "+e.cell)
			}
		}
	}
	name("ours", onlyOurs)
	name("theirs", onlyTheirs)
	if theirs.Failure != "" && len(names) == 0 {
		t.Errorf("%s: frictionless could not judge: %s\nfile: %q", s.name, theirs.Failure, s.data)
		return
	}
	if len(unnamed) > 0 {
		t.Errorf("%s: only one side finds %s\ncontract: %v\nfile: %q\nours:   %v\ntheirs: %v",
			s.name, strings.Join(unnamed, ", "), s.descriptor, s.data, texts(ours), texts(theirs.entries(t)))
		return
	}
	for found := range names {
		seen[found]++
	}
	if !byHand {
		return
	}
	if s.differs != "" && (!names[s.differs] || len(names) > 1) || s.differs == "" && len(names) > 0 {
		t.Errorf("%s: shows the differences %v, want %q\nfile: %q\nours:   %v\ntheirs: %v",
			s.name, names, s.differs, s.data, texts(ours), texts(theirs.entries(t)))
	}
	if s.differs != "" {
		got := texts(ours)
		slices.Sort(got)
		slices.Sort(s.want)
		if diff := cmp.Diff(s.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", s.name, s.data, diff)
		}
	}
}

// agreesWithGo holds the findings about quotes against Go's own reader, which decides about them.
func agreesWithGo(t *testing.T, s sample, c *contract.Contract, ours []entry) {
	t.Helper()
	if c.Encoding != "utf-8" || c.Dialect.QuoteChar != '"' || c.Dialect.EscapeChar != 0 || c.Dialect.CommentChar != 0 || c.Dialect.SkipInitialSpace {
		return
	}
	reader := csv.NewReader(strings.NewReader(string(s.data)))
	reader.Comma, reader.FieldsPerRecord = rune(c.Dialect.Delimiter), -1
	_, err := reader.ReadAll()
	quote := slices.ContainsFunc(ours, func(e entry) bool { return e.rule == dataset.RuleQuote })
	// A mark that is not declared makes a quote behind it a bare one, to Go's reader only.
	mark := slices.ContainsFunc(ours, func(e entry) bool { return e.rule == dataset.RuleByteOrderMark })
	if err != nil && !quote && !mark || err == nil && quote {
		t.Errorf("%s: of %q, Go's reader says: %v; we find %v", s.name, s.data, err, texts(ours))
	}
}
