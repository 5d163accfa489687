package terminal

import (
	"fmt"
	"strings"
)

// A screen writes to the two streams. Where the live view is, it stands below everything else: what is permanent is
// written in its place, and the view again below that, in one write, so that nothing flickers.
//
// The cursor is never hidden or moved away: it stands on the line below the view. So there is nothing to restore,
// however this process ends.
type screen struct {
	out, err  Stream
	oneScreen bool
	columns   func() int
	drawn     []string // the lines of the view that are on the screen
	failed    error    // the first error; the rest would be the same
}

// permanent writes text, whole lines, to one of the streams, and the view below it.
func (s *screen) permanent(toOut bool, text string, view []string) {
	if text == "" {
		s.draw(view)
		return
	}
	if toOut && !s.oneScreen {
		s.write(s.out, text)
		s.draw(view)
		return
	}
	s.write(s.err, s.erase()+text+block(view))
	s.drawn = view
}

// draw replaces the view, line by line; an unchanged view writes nothing.
func (s *screen) draw(view []string) {
	if equal(s.drawn, view) {
		return
	}
	var b strings.Builder
	old := s.rows()
	b.WriteString(up(old))
	for _, line := range view {
		b.WriteString("\x1b[2K" + line + "\n")
	}
	b.WriteString(wipe(old - len(view)))
	s.write(s.err, b.String())
	s.drawn = view
}

// erase takes the view off the screen.
func (s *screen) erase() string {
	n := s.rows()
	return up(n) + wipe(n)
}

// up goes to the start of the row that is n rows higher.
func up(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r", n)
}

// wipe empties n rows from the cursor on, and the one below, where a terminal echoes ^C; the cursor stays. It goes
// row by row: some terminals keep in their history what one sequence erases from the top of the screen on.
func wipe(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat("\x1b[2K\n", n) + "\x1b[2K" + up(n)
}

// rows is how many rows the view takes now: in a window that became narrower its lines are folded.
func (s *screen) rows() int {
	n, columns := 0, s.columns()
	for _, line := range s.drawn {
		n += max(1, (width(strip(line))+columns-1)/columns)
	}
	return n
}

func (s *screen) write(to Stream, text string) {
	if _, err := to.W.Write([]byte(text)); err != nil && s.failed == nil {
		s.failed = fmt.Errorf("write to terminal: %w", err)
	}
}

func block(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func equal(a, b []string) bool {
	return strings.Join(a, "\n") == strings.Join(b, "\n") && len(a) == len(b)
}

// strip takes our own colours out; the view has no other sequences.
func strip(line string) string {
	for {
		i := strings.Index(line, "\x1b[")
		if i < 0 {
			return line
		}
		j := strings.IndexByte(line[i:], 'm')
		if j < 0 {
			return line[:i]
		}
		line = line[:i] + line[i+j+1:]
	}
}
