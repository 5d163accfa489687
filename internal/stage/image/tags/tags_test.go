package tags_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

var update = flag.Bool("update", false, "write docs/tags.md again")

const page = "../../../../docs/tags.md"

// valid is what the OCI distribution specification says of tags.
var valid = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

func TestEverySituationGetsItsTags(t *testing.T) {
	var rows bytes.Buffer
	owner := map[string]string{} // of a tag: two branches must not share one
	for _, s := range situations() {
		t.Run(s.given, func(t *testing.T) {
			_, source := s.source(t)
			plan := tags.Of(source, s.dirty)
			check(t, source, tags.AtPush, s.push, plan)
			check(t, source, tags.AfterGates, s.later, plan)
			if (s.refused == "") != (plan.Refused == "") || !strings.Contains(plan.Refused, s.refused) {
				t.Errorf("refused: %q, want %q", plan.Refused, s.refused)
			}
			for _, tag := range plan.Tags {
				if tag.Name != "" && !valid.MatchString(tag.Name) {
					t.Errorf("%q is no tag", tag.Name)
				}
				if (tag.When == tags.Never) != (tag.Why != "") || tag.Rule == "" {
					t.Errorf("it is set %s, and why: %q, by the rule %q", tag.When, tag.Why, tag.Rule)
				}
				if strings.HasPrefix(tag.From, "branch ") && tag.Name != "" {
					if other := owner[tag.Name]; other != "" && other != tag.From {
						t.Errorf("%s and %s share %s", tag.From, other, tag.Name)
					}
					owner[tag.Name] = tag.From
				}
			}
			row(&rows, s, plan)
		})
	}
	golden(t, rows.String())
}

func check(t *testing.T, source worktree.Source, when tags.When, want []string, plan tags.Plan) {
	t.Helper()
	var got, expected []string
	for _, tag := range plan.Set(when) {
		got = append(got, tag.Name)
	}
	for _, name := range want {
		expected = append(expected, strings.ReplaceAll(name, "{sha}", source.Commit[:min(10, len(source.Commit))]))
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func row(rows *bytes.Buffer, s situation, plan tags.Plan) {
	code := func(set []tags.Tag) string {
		var names []string
		for _, tag := range set {
			names = append(names, "`"+tag.Name+"`")
		}
		return strings.Join(names, ", ")
	}
	var never []string
	for _, tag := range plan.Set(tags.Never) {
		never = append(never, tag.From+": "+tag.Why)
	}
	push := code(plan.Set(tags.AtPush))
	if plan.Refused != "" {
		push = "refused: " + strings.SplitN(plan.Refused, ":", 2)[0]
	}
	given := strings.NewReplacer("|", "\\|", "*", "\\*", "_", "\\_", "<", "&lt;").Replace(s.given)
	fmt.Fprintf(rows, "| %s | %s | %s | %s |\n", given, push, code(plan.Set(tags.AfterGates)), strings.Join(never, "; "))
}

const (
	tableBegins = "<!-- The table is written by `go test ./internal/stage/image/tags -update`. -->\n\n" +
		"| situation | at push | after integration and benchmark | never |\n|---|---|---|---|\n"
	tableEnds = "<!-- end of the table -->\n"
)

func golden(t *testing.T, rows string) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), tableBegins)
	have, after, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table", page)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+tableBegins+rows+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(have, rows); diff != "" {
		t.Errorf("%s is not true any more, renew it with -update (-page +tags):\n%s", page, diff)
	}
}

// Whatever the names, their tags are valid and their own.
func FuzzBranch(f *testing.F) {
	for _, s := range situations() {
		f.Add(s.given, strings.TrimPrefix(s.given, "branch "))
	}
	f.Add("feature/a", "feature-a")
	f.Add("a\xff", "a\xfe")
	f.Add("", "-")
	f.Fuzz(func(t *testing.T, one, two string) {
		a, _ := tags.Branch(one)
		b, _ := tags.Branch(two)
		if one != two && a == b {
			t.Errorf("%q and %q share %s", one, two, a)
		}
		if !valid.MatchString(a) || !strings.HasSuffix(a, "-latest") {
			t.Errorf("%q gives %q", one, a)
		}
		if version, _, why := tags.Version(two); why == "" {
			if !valid.MatchString(version) || version == a || version[0] != 'v' {
				t.Errorf("%q gives %q, and the branch %q gives %q", two, version, one, a)
			}
		}
	})
}
