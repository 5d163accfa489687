package forge

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// A Rule is one that is in force. Parameters are as GitHub has them.
type Rule struct {
	Type       string          `json:"type"`
	Parameters json.RawMessage `json:"parameters"`
}

// Rules are those that are in force for a branch, wherever they come from.
func (c *Client) Rules(ctx context.Context, branch string) ([]Rule, error) {
	var rules []Rule
	err := c.ask(ctx, Call{Method: http.MethodGet, Path: []string{"rules", "branches", branch}, Query: "per_page=100"}, &rules)
	return rules, err
}

// A Ruleset is one of the repository's.
type Ruleset struct {
	ID          int64  `json:"id"`
	Target      string `json:"target"`
	Enforcement string `json:"enforcement"`
	Conditions  struct {
		RefName struct {
			Include []string `json:"include"`
			Exclude []string `json:"exclude"`
		} `json:"ref_name"`
	} `json:"conditions"`
	Rules []Rule `json:"rules"`
}

// TagRulesets are those about tags.
func (c *Client) TagRulesets(ctx context.Context) ([]Ruleset, error) {
	var listed []Ruleset
	if err := c.ask(ctx, Call{Method: http.MethodGet, Path: []string{"rulesets"}, Query: "per_page=100&targets=tag"}, &listed); err != nil {
		return nil, err
	}
	var all []Ruleset
	for _, entry := range listed {
		if entry.Target != "tag" {
			continue
		}
		var whole Ruleset
		if err := c.ask(ctx, Call{Method: http.MethodGet, Path: []string{"rulesets", strconv.FormatInt(entry.ID, 10)}}, &whole); err != nil {
			return nil, err
		}
		all = append(all, whole)
	}
	return all, nil
}

// An Environment is what protects the secrets of one.
type Environment struct {
	Rules []struct {
		Type      string            `json:"type"` // required_reviewers, wait_timer, branch_policy
		Reviewers []json.RawMessage `json:"reviewers"`
	} `json:"protection_rules"`
	Branches *struct{} `json:"deployment_branch_policy"` // nil: any branch may use it
}

// Reviewed reports whether somebody must approve.
func (e Environment) Reviewed() bool {
	for _, rule := range e.Rules {
		if rule.Type == "required_reviewers" && len(rule.Reviewers) > 0 {
			return true
		}
	}
	return false
}

// Environment returns one by its name.
func (c *Client) Environment(ctx context.Context, name string) (Environment, error) {
	var environment Environment
	err := c.ask(ctx, Call{Method: http.MethodGet, Path: []string{"environments", name}}, &environment)
	return environment, err
}
