package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	shownAlerts = 20                 // in the status
	keptAlerts  = 1000               // in the file
	mostAlerts  = 2 * keptAlerts     // before the oldest go
	alertsAge   = 24 * time.Hour     // older ones are not caught up on
	longestLine = 16 << 10           // of the file
	longestTold = 2000               // of a summary
	alertsMode  = fs.FileMode(0o640) // the group of who collects them may read
)

// alerts are those that were raised here, in a file with one a line. Each is raised once, by its ID: what the audit log
// tells is looked through again by each agent that takes over, so none is lost with the agent that should have raised it.
type alerts struct {
	path string
	say  func(format string, args ...any)

	mu     sync.Mutex
	known  map[string]bool
	all    []wire.Alert
	behind bool // not all of them are in the file
}

// openAlerts reads the file. A line that is none is left out, and told.
func openAlerts(path string, say func(string, ...any)) (*alerts, error) {
	a := &alerts{path: path, say: say, known: map[string]bool{}}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	err = eachAlert(file, func(one wire.Alert, bad error) {
		if bad != nil {
			say("a line of the alerts is damaged: %v", bad)
			a.behind = true // it is written anew
			return
		}
		a.known[one.ID] = true
		a.all = append(a.all, one)
	})
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	return a, nil
}

func eachAlert(r io.Reader, each func(wire.Alert, error)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var one wire.Alert
		err := json.Unmarshal(lines.Bytes(), &one)
		if err == nil && one.ID == "" {
			err = errors.New("it has no ID")
		}
		each(one, err)
	}
	return lines.Err()
}

// raise adds an alert, unless it is known. What the disk does not take now is written with the next, or by flush.
func (a *alerts) raise(one wire.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[one.ID] {
		return
	}
	one.Summary, one.Release = cut(plain.Line(one.Summary), longestTold), plain.Line(one.Release)
	a.known[one.ID] = true
	a.all = append(a.all, one)
	a.say("alert %s (%s): %s", one.Name, one.Severity, one.Summary)
	if a.behind || len(a.all) > mostAlerts {
		a.rewrite()
		return
	}
	if err := appendLine(a.path, one); err != nil {
		a.say("an alert is not on the disk yet: %v", err)
		a.behind = true
	}
}

// catchUp raises what the audit log knew before, unless that is long ago.
func (a *alerts) catchUp(now time.Time, all []wire.Alert) {
	for _, one := range all {
		if now.Sub(one.Time) < alertsAge {
			a.raise(one)
		}
	}
}

// flush tries again to bring all of them to the disk.
func (a *alerts) flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.behind {
		a.rewrite()
	}
}

// rewrite is with the lock held.
func (a *alerts) rewrite() {
	if over := len(a.all) - keptAlerts; over > 0 {
		a.all = slices.Delete(a.all, 0, over)
	}
	var content []byte
	for _, one := range a.all {
		line, err := json.Marshal(one)
		if err != nil { // of strings and a time, which can be encoded
			continue
		}
		content = append(append(content, line...), '\n')
	}
	err := wholefile.Write(a.path, content, alertsMode)
	if a.behind = err != nil; err != nil {
		a.say("alerts are not on the disk yet: %v", err)
	}
}

// recent are the newest, the last of them last.
func (a *alerts) recent() []wire.Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all[max(0, len(a.all)-shownAlerts):])
}

// counts by name and severity.
func (a *alerts) counts() map[[2]string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := map[[2]string]int{}
	for _, one := range a.all {
		counts[[2]string{one.Name, string(one.Severity)}]++
	}
	return counts
}

// appendLine adds a line and waits until it is on the disk. What was written in part is taken back.
func appendLine(path string, value any) (err error) {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, alertsMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return errors.Join(err, file.Truncate(info.Size()))
	}
	return file.Sync()
}

// cut shortens text to so many bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	r := []rune(s[:most])
	return string(r[:len(r)-1]) + "…"
}
