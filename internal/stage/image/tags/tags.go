// Package tags says which tags an image gets, and which rule gives each of them.
//
// It is a pure function of what git and CI say: nothing is asked, nothing is pushed. The three kinds of tags can't be
// mistaken for each other: one of a branch ends in -latest and no other does, one of a version begins with v, one of a
// commit is hexadecimal.
package tags

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A When says when a tag is set.
type When string

// Times at which tags are set, as a person reads them.
const (
	AtPush     When = "at push"
	AfterGates When = "after integration and benchmark have passed"
	Never      When = "never"
)

// A Tag is one that an image gets, or that somebody might expect it to get.
type Tag struct {
	Name  string `json:"name,omitempty"` // empty where there could be none
	From  string `json:"from"`           // what it is made of: commit, branch "main", tag "v1.2.3"
	Rule  string `json:"rule"`
	When  When   `json:"when"`
	Why   string `json:"why,omitempty"` // it is never set
	Fixed bool   `json:"fixed"`         // it never moves once it is pushed
}

// A Plan is what a push would do.
type Plan struct {
	Tags    []Tag    `json:"tags"`
	Refused string   `json:"refused,omitempty"` // why nothing may be pushed, and what to do
	Notes   []string `json:"notes,omitempty"`
}

// Set are the tags that are set at that time.
func (p Plan) Set(when When) []Tag {
	var set []Tag
	for _, tag := range p.Tags {
		if tag.When == when {
			set = append(set, tag)
		}
	}
	return set
}

// shortened is how much of a commit is a tag.
const shortened = 10

// Rules that give tags.
const (
	commitRule  = "every push gets the first 10 characters of its commit, which never move"
	dirtyRule   = "a work tree that differs from its commit gets -dirty, which moves"
	branchRule  = "a branch gets its name with -latest, which moves with it"
	versionRule = "a git tag of the form v1.2.3 gives the same tag, which never moves"
)

// Of says which tags the images of a source get. Dirty lets images of a work tree that differs from its commit be pushed.
func Of(source worktree.Source, dirty bool) Plan {
	if source.Absent != worktree.Present {
		return Plan{Refused: fmt.Sprintf("%s, so there is no commit to name an image after: push from a clone of the repository, with git on the PATH", source.Absent)}
	}
	plan := Plan{Tags: []Tag{commit(source)}}
	if source.Dirty && !dirty {
		plan.Refused = fmt.Sprintf("the work tree differs from commit %.10s, so nobody could say what the images are made of: commit or stash what `git status` shows, or push with -dirty", source.Commit)
	}
	if tag, ok := branch(source); ok {
		plan.Tags = append(plan.Tags, tag)
	}
	plan.Tags = append(plan.Tags, versions(source)...)
	if source.Shallow {
		plan.Notes = append(plan.Notes, "the clone is shallow, so git tags of this commit may be missing: `git fetch --tags` gets them")
	}
	if stray(source) {
		plan.Notes = append(plan.Notes, fmt.Sprintf("GITHUB_SHA is %.10s and HEAD is %.10s, so what CI says of branch and tag is not used", plain.Line(source.CI.Commit), source.Commit))
	}
	return plan
}

func commit(source worktree.Source) Tag {
	tag := Tag{Name: source.Commit[:shortened], From: "commit", Rule: commitRule, When: AtPush, Fixed: true}
	if source.Dirty {
		tag.Name += "-dirty"
		tag.Rule, tag.Fixed = dirtyRule, false
	}
	return tag
}

// stray reports that CI speaks of another commit than the one that is checked out.
func stray(source worktree.Source) bool {
	return source.CI.Commit != "" && source.CI.Commit != source.Commit
}

// unfit says why neither a branch nor a version may be read from the source.
func unfit(source worktree.Source) string {
	switch {
	case source.CI.Pull() != "":
		return "a pull request is not merged yet"
	case source.Dirty:
		return "the work tree is dirty"
	case stray(source):
		return "CI speaks of another commit"
	}
	return ""
}

// mergeQueue is where GitHub keeps the branches of its merge queue.
const mergeQueue = "gh-readonly-queue/"

// branch is the tag of the branch that was pushed, in CI, or that is checked out.
func branch(source worktree.Source) (Tag, bool) {
	name := source.Branch
	if source.CI.Ref != "" {
		name = source.CI.Branch()
	}
	tag := Tag{From: "branch " + quoted(name), Rule: branchRule, When: Never, Why: unfit(source)}
	switch {
	case source.CI.Pull() != "":
		tag.From = strings.TrimSuffix("pull request "+source.CI.Pull(), " ?")
		if source.CI.HeadRef != "" {
			tag.From += " from " + quoted(source.CI.HeadRef)
		}
	case source.CI.Tag() != "":
		return Tag{}, false // a tag was pushed: it says nothing of branches
	case name == "" && source.CI.Ref != "":
		tag.From, tag.Why = "reference "+quoted(source.CI.Ref), "it is neither a branch nor a tag"
	case name == "":
		tag.From, tag.Why = "detached HEAD", "no branch is checked out"
	case strings.HasPrefix(name, mergeQueue):
		tag.Why = "the merge queue's branches are gone in a moment"
	}
	if tag.Why == "" {
		var because string
		tag.Name, because = Branch(name)
		tag.Rule += because
		tag.When = AfterGates
	}
	return tag, true
}

// versions are the tags of all git tags of the commit, and of the one that was pushed.
func versions(source worktree.Source) []Tag {
	names := slices.Clone(source.Tags)
	if pushed := source.CI.Tag(); pushed != "" && !slices.Contains(names, pushed) {
		names = append(names, pushed)
	}
	slices.Sort(names)
	var all []Tag
	for _, name := range names {
		tag := Tag{From: "tag " + quoted(name), Rule: versionRule, When: Never, Why: unfit(source), Fixed: true}
		if tag.Why == "" {
			var because string
			tag.Name, because, tag.Why = Version(name)
			tag.Rule += because
		}
		if tag.Why == "" {
			tag.When = AfterGates
		}
		all = append(all, tag)
	}
	return all
}

// quoted is a name of foreign origin as it may be shown.
func quoted(name string) string { return fmt.Sprintf("%q", plain.Line(name)) }
