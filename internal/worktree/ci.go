package worktree

import (
	"regexp"
	"strings"
)

// A CI is what GitHub Actions says of the run, in variables that anybody else can set, too. All empty elsewhere.
type CI struct {
	Event   string // GITHUB_EVENT_NAME: push, pull_request, schedule
	Ref     string // GITHUB_REF, in full: refs/heads/main, refs/tags/v1.2.3, refs/pull/7/merge
	HeadRef string // GITHUB_HEAD_REF: the branch that a pull request comes from; its author chose the name
	Commit  string // GITHUB_SHA
}

// CIFrom reads the variables. GITHUB_REF_NAME is left out: it is the end of GITHUB_REF, and does not say of what.
func CIFrom(get func(string) string) CI {
	return CI{
		Event: get("GITHUB_EVENT_NAME"), Ref: get("GITHUB_REF"), HeadRef: get("GITHUB_HEAD_REF"), Commit: get("GITHUB_SHA"),
	}
}

var pullRef = regexp.MustCompile(`^refs/pull/([0-9]+)/`)

// Branch is the branch that was pushed, or that a schedule or a person runs for.
func (c CI) Branch() string { return c.named("refs/heads/") }

// Tag is the tag that was pushed.
func (c CI) Tag() string { return c.named("refs/tags/") }

func (c CI) named(prefix string) string {
	if c.Pull() != "" {
		return ""
	}
	name, ok := strings.CutPrefix(c.Ref, prefix)
	if !ok {
		return ""
	}
	return name
}

// Pull is the number of the pull request, "?" if it is one whose number is unknown, and empty if it is none.
// pull_request_target names the branch that the request goes to, which is not what it holds.
func (c CI) Pull() string {
	if m := pullRef.FindStringSubmatch(c.Ref); m != nil {
		return m[1]
	}
	if strings.HasPrefix(c.Event, "pull_request") {
		return "?"
	}
	return ""
}
