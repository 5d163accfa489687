package notify

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// An Audience is what pipeline.yaml says of a channel.
type Audience struct {
	Events   []string
	Branches []string // patterns of path.Match; empty is every branch, and pull requests, too
	Records  bool     // it keeps records, and so is told of starts
}

// Refuses is why a channel is not told, empty if it is.
func (a Audience) Refuses(m Message) string {
	switch {
	case !slices.Contains(a.Events, string(m.Event)):
		return fmt.Sprintf("it is not told of the event %s: see its events under notify in pipeline.yaml", m.Event)
	case m.Release != nil && m.Release.State == Started && !a.Records:
		return "that a deploy begins is told to nobody: its end is"
	case len(a.Branches) == 0:
		return ""
	case m.Pull != "":
		return "it is told of some branches only, and this is a pull request, whose author chose the name of its branch"
	case !slices.ContainsFunc(a.Branches, func(pattern string) bool {
		matched, err := path.Match(pattern, m.Branch)
		return err == nil && matched
	}):
		return fmt.Sprintf("it is told of the branches %s only", strings.Join(a.Branches, ", "))
	}
	return ""
}
