package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

// CIRules says what the settings of the repository lack of .github/rulesets and of the environments that the workflows take
// their secrets from. Anything that lacks is exit code 1; it changes nothing.
func CIRules(ctx context.Context, s *Session) error {
	client, err := forge.FromVariables(s.Host.Get)
	if err != nil {
		return &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	graph := workflow.Pipeline()
	var lacks []string
	for _, rules := range workflow.Rulesets(graph) {
		more, err := lacking(ctx, client, rules)
		if err != nil {
			return err
		}
		lacks = append(lacks, more...)
	}
	environments := workflow.Environments(graph)
	for _, name := range slices.Sorted(maps.Keys(environments)) {
		more, err := unprotected(ctx, client, name, environments[name])
		if err != nil {
			return err
		}
		lacks = append(lacks, more...)
	}
	if len(lacks) == 0 {
		s.say("the settings have all of %s, and %d environments are bound to branches", workflow.RulesDirectory, len(environments))
		return nil
	}
	if err := s.print("- " + strings.Join(lacks, "\n- ") + "\n"); err != nil {
		return err
	}
	return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("the settings of the repository lack %d things: import the files of %s under Settings, Rules, Rulesets", len(lacks), workflow.RulesDirectory)}
}

// lacking compares what is in force with one ruleset. Stricter is as good.
func lacking(ctx context.Context, client *forge.Client, want workflow.Ruleset) ([]string, error) {
	var lacks []string
	for _, ref := range want.Conditions.RefName.Include {
		var have []forge.Rule
		var err error
		what := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
		if want.Target == "tag" {
			have, err = tagRules(ctx, client, ref)
		} else {
			have, err = client.Rules(ctx, what)
		}
		if err != nil {
			return nil, err
		}
		for _, rule := range want.Rules {
			lacks = append(lacks, prefixed(what, missing(rule, have))...)
		}
	}
	return lacks, nil
}

func prefixed(what string, lacks []string) []string {
	for i := range lacks {
		lacks[i] = what + ": " + lacks[i]
	}
	return lacks
}

// tagRules are those of rulesets that are about just these tags, or about all.
func tagRules(ctx context.Context, client *forge.Client, ref string) ([]forge.Rule, error) {
	sets, err := client.TagRulesets(ctx)
	var rules []forge.Rule
	for _, set := range sets {
		about := set.Conditions.RefName
		if set.Enforcement == "active" && len(about.Exclude) == 0 && (slices.Contains(about.Include, ref) || slices.Contains(about.Include, "~ALL")) {
			rules = append(rules, set.Rules...)
		}
	}
	return rules, err
}

// missing says what no rule of that type gives.
func missing(want workflow.Rule, have []forge.Rule) []string {
	best := []string{fmt.Sprintf("there is no rule %s", want.Type)}
	for _, rule := range have {
		if rule.Type != want.Type {
			continue
		}
		lacks := weaker(want, rule)
		if len(lacks) == 0 {
			return nil
		}
		best = lacks
	}
	return best
}

// weaker says in what a rule in force asks for less.
func weaker(want workflow.Rule, have forge.Rule) []string {
	if want.Parameters == nil {
		return nil
	}
	var lacks []string
	if asked := want.Parameters.PullRequest; asked != nil {
		var is workflow.PullRequest
		if err := json.Unmarshal(have.Parameters, &is); err != nil {
			return []string{fmt.Sprintf("the rule %s can't be read: %v", want.Type, err)}
		}
		if is.Approvals < asked.Approvals {
			lacks = append(lacks, fmt.Sprintf("%d approvals are asked for, not %d", is.Approvals, asked.Approvals))
		}
		for name, pair := range map[string][2]bool{
			"approvals outlive a new push": {asked.DismissStale, is.DismissStale}, "code owners are not asked": {asked.CodeOwner, is.CodeOwner},
			"who pushed last may approve": {asked.LastPush, is.LastPush}, "open threads do not count": {asked.Threads, is.Threads},
		} {
			if pair[0] && !pair[1] {
				lacks = append(lacks, name)
			}
		}
		slices.Sort(lacks)
	}
	if asked := want.Parameters.StatusChecks; asked != nil {
		var is workflow.StatusChecks
		if err := json.Unmarshal(have.Parameters, &is); err != nil {
			return []string{fmt.Sprintf("the rule %s can't be read: %v", want.Type, err)}
		}
		for _, check := range asked.Checks {
			if !slices.Contains(is.Checks, check) {
				lacks = append(lacks, fmt.Sprintf("job %s of GitHub Actions is not required", check.Context))
			}
		}
		if asked.Strict && !is.Strict {
			lacks = append(lacks, "a branch may be merged that is behind")
		}
	}
	return lacks
}

// unprotected says what keeps an environment's secrets from those who should not have them.
func unprotected(ctx context.Context, client *forge.Client, name string, approved bool) ([]string, error) {
	environment, err := client.Environment(ctx, name)
	switch {
	case errors.Is(err, forge.ErrNotFound):
		return []string{fmt.Sprintf("environment %s: it is not there: docs/secrets.md says what it holds", name)}, nil
	case err != nil:
		return nil, err
	}
	var lacks []string
	if environment.Branches == nil {
		lacks = append(lacks, fmt.Sprintf("environment %s: any branch may use it: bind it to those of docs/secrets.md", name))
	}
	if approved && !environment.Reviewed() {
		lacks = append(lacks, fmt.Sprintf("environment %s: nobody must approve", name))
	}
	return lacks, nil
}
