package provision

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// tailLines is how many of a server's last lines are kept for an error message.
const tailLines = 40

// A serverOutput is what a server of ours logs: all of it in a file, for whom the server lets down later, and the last
// lines at hand.
type serverOutput struct {
	file *os.File

	mu   sync.Mutex
	tail []string
}

// line takes one more.
func (o *serverOutput) line(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = fmt.Fprintln(o.file, line) // a log that can't be written must not end the server
	if o.tail = append(o.tail, line); len(o.tail) > tailLines {
		o.tail = o.tail[1:]
	}
}

// forget drops the lines of an earlier attempt; the file keeps them.
func (o *serverOutput) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = nil
}

// last returns up to n lines in one.
func (o *serverOutput) last(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, line := range o.tail[max(0, len(o.tail)-n):] {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, " / ")
}

// has reports whether one of the last lines holds one of the words.
func (o *serverOutput) has(words ...string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := strings.Join(o.tail, "\n")
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(all, word) })
}
