package workflow

import (
	"bufio"
	_ "embed" // the table is a file, so that a bot and a person can read it
	"fmt"
	"regexp"
	"strings"
)

//go:embed actions.txt
var actionTable string

// An Action is somebody else's code, pinned to one commit of its repository.
type Action struct {
	Name    string // actions/checkout
	Version string // v7.0.1
	Commit  string // 40 hexadecimal digits
}

var pin = regexp.MustCompile(`^([a-z0-9-]+/[a-z0-9-]+(?:/[a-z-]+)*) (v[0-9]+\.[0-9]+\.[0-9]+) ([0-9a-f]{40})$`)

// Actions are all that the workflows may use, by name.
func Actions() (map[string]Action, error) {
	actions := map[string]Action{}
	lines := bufio.NewScanner(strings.NewReader(actionTable))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := pin.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("read actions.txt: %q is no line of name, version and commit", line)
		}
		actions[m[1]] = Action{Name: m[1], Version: m[2], Commit: m[3]}
	}
	return actions, lines.Err()
}
