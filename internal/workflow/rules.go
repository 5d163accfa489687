package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
)

// RulesDirectory holds the rulesets, which GitHub can import: Settings, Rules, Rulesets, New, Import.
const RulesDirectory = ".github/rulesets"

// actionsApp is GitHub Actions: a status of the same name from elsewhere does not count.
const actionsApp = 15368

// A Ruleset is GitHub's: what may happen to some branches or tags.
type Ruleset struct {
	Name        string     `json:"name"`
	Target      string     `json:"target"` // branch, tag
	Enforcement string     `json:"enforcement"`
	Conditions  Conditions `json:"conditions"`
	Rules       []Rule     `json:"rules"`
	Bypass      []struct{} `json:"bypass_actors"` // nobody
}

// Conditions say of which references a ruleset speaks.
type Conditions struct {
	RefName struct {
		Include []string `json:"include"`
		Exclude []string `json:"exclude"`
	} `json:"ref_name"`
}

// A Rule is one of them. Parameters belong to its type.
type Rule struct {
	Type       string      `json:"type"`
	Parameters *Parameters `json:"parameters,omitempty"`
}

// Parameters are those of pull_request, or those of required_status_checks.
type Parameters struct {
	*PullRequest
	*StatusChecks
}

// PullRequest says what a merge needs of people.
type PullRequest struct {
	Approvals    int  `json:"required_approving_review_count"`
	DismissStale bool `json:"dismiss_stale_reviews_on_push"`
	CodeOwner    bool `json:"require_code_owner_review"`
	LastPush     bool `json:"require_last_push_approval"`
	Threads      bool `json:"required_review_thread_resolution"`
}

// StatusChecks says which jobs must have passed.
type StatusChecks struct {
	Strict bool          `json:"strict_required_status_checks_policy"`
	Checks []StatusCheck `json:"required_status_checks"`
}

// A StatusCheck is one job, and the application that must have reported it.
type StatusCheck struct {
	Context string `json:"context"`
	App     int    `json:"integration_id"`
}

// Rulesets are the documented protection: changes come by pull request, all checks passed, somebody else approved; a
// version never moves.
func Rulesets(w Workflow) []Ruleset {
	checks := StatusChecks{Strict: true}
	for _, id := range Required(w) {
		checks.Checks = append(checks.Checks, StatusCheck{Context: id, App: actionsApp})
	}
	branches := Ruleset{
		Name: "branches", Target: "branch", Enforcement: "active", Bypass: []struct{}{},
		Rules: []Rule{
			{Type: "deletion"},
			{Type: "non_fast_forward"},
			{Type: "pull_request", Parameters: &Parameters{PullRequest: &PullRequest{
				Approvals: 1, DismissStale: true, CodeOwner: true, Threads: true,
			}}},
			{Type: "required_status_checks", Parameters: &Parameters{StatusChecks: &checks}},
		},
	}
	branches.Conditions.RefName.Include = []string{"refs/heads/" + productionBranch, "refs/heads/" + stagingBranch}
	versions := Ruleset{
		Name: "versions", Target: "tag", Enforcement: "active", Bypass: []struct{}{},
		Rules: []Rule{{Type: "deletion"}, {Type: "update"}},
	}
	versions.Conditions.RefName.Include = []string{"refs/tags/v*"}
	branches.Conditions.RefName.Exclude, versions.Conditions.RefName.Exclude = []string{}, []string{}
	return []Ruleset{branches, versions}
}

// Required are the jobs that a pull request must pass. One that is skipped counts as passed for GitHub; so all are named,
// and the one that failed is among them.
func Required(w Workflow) []string {
	var all []string
	for _, job := range judged(w.Jobs) {
		if !slices.Contains([]string{"release", "staging", "production", "notify"}, job.ID) {
			all = append(all, job.ID)
		}
	}
	return all
}

// Environments are those that the jobs take their secrets from, and whether somebody must approve.
func Environments(w Workflow) map[string]bool {
	found := map[string]bool{}
	for _, job := range w.Jobs {
		switch job.Environment {
		case "":
		case evidenceEnv:
			found["evidence"] = false
		default:
			found[job.Environment] = job.ID == "production"
		}
	}
	return found
}

// JSON is the form that GitHub imports.
func (r Ruleset) JSON() (string, error) {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write ruleset %s: %w", r.Name, err)
	}
	return string(content) + "\n", nil
}
