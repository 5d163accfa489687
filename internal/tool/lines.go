package tool

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// longestLine is how much of a line is shown, in bytes; the parser gets all of it.
const longestLine = 64 << 10

// splitter cuts a stream into lines that are safe to show: without escape sequences, secrets and bytes that are no
// UTF-8. A carriage return goes back to the start of the line, so that of a progress bar its last state is shown.
type splitter struct {
	mask *plain.Mask
	emit func(string)

	current []byte // since the last line end or carriage return, as much as can be shown
	length  int    // of it all
	before  []byte // what stood on the line before the carriage return
	beforeN int
	started bool
}

func (s *splitter) write(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			s.keep(b)
			return
		}
		s.keep(b[:i])
		if b[i] == '\n' {
			s.end()
		} else {
			s.back()
		}
		b = b[i+1:]
	}
}

// keep holds more than is shown, so that a secret at the cut is seen whole.
func (s *splitter) keep(b []byte) {
	s.started = true
	s.length += len(b)
	if room := longestLine + s.mask.Longest() - len(s.current); room > 0 {
		s.current = append(s.current, b[:min(room, len(b))]...)
	}
}

func (s *splitter) back() {
	if s.length > 0 {
		s.before, s.current = append(s.before[:0], s.current...), s.current[:0]
		s.beforeN, s.length = s.length, 0
	}
}

func (s *splitter) end() {
	text, length := s.current, s.length
	if length == 0 {
		text, length = s.before, s.beforeN
	}
	s.emit(s.show(text, length))
	s.current, s.length, s.started = s.current[:0], 0, false
	s.before, s.beforeN = s.before[:0], 0
}

// flush emits a last line that has no end.
func (s *splitter) flush() {
	if s.started {
		s.end()
	}
}

func (s *splitter) show(text []byte, length int) string {
	line := plain.Text(string(text))
	if length <= longestLine {
		return s.mask.String(line)
	}
	// The end of what was kept may be the beginning of a secret that can't be seen whole, so it goes.
	line = s.mask.Cut(line, min(longestLine, len(line)-s.mask.Longest()))
	return fmt.Sprintf("%s … [a line of %d bytes: the rest is not shown]", strings.ToValidUTF8(line, ""), length)
}
