package terminal

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// An emulator is as much of a terminal as this package needs: rows that fold, the cursor up, erasing, colours.
type emulator struct {
	columns  int
	rows     [][]string // of cells; the second cell of a wide letter is empty
	row, col int
	raw      bytes.Buffer
}

func newEmulator(columns int) *emulator { return &emulator{columns: columns, rows: [][]string{nil}} }

var sequence = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])|^\x1b\]8;;[^\x1b]*\x1b\\`)

func (e *emulator) Write(p []byte) (int, error) {
	e.raw.Write(p)
	s := string(p)
	for s != "" {
		if s[0] == '\x1b' {
			m := sequence.FindStringSubmatch(s)
			if m == nil {
				return 0, fmt.Errorf("unknown sequence in %q", s[:min(len(s), 20)])
			}
			if err := e.control(m[1], m[2]); err != nil {
				return 0, err
			}
			s = s[len(m[0]):]
			continue
		}
		g := displaywidth.StringGraphemes(s)
		g.Next()
		e.letter(g.Value(), g.Width())
		s = s[len(g.Value()):]
	}
	return len(p), nil
}

func (e *emulator) control(arg, kind string) error {
	n, _ := strconv.Atoi(arg)
	switch kind {
	case "m", "": // colour, link
	case "A":
		if n > e.row {
			return fmt.Errorf("cursor up %d from row %d: over the top", n, e.row)
		}
		e.row -= n
	case "K":
		if arg != "2" {
			return fmt.Errorf("erase in line %q", arg)
		}
		e.rows[e.row] = nil
	default:
		return fmt.Errorf("unknown sequence %s%s", arg, kind)
	}
	return nil
}

func (e *emulator) letter(s string, w int) {
	switch s {
	case "\n":
		e.col = 0
		e.down()
		return
	case "\r":
		e.col = 0
		return
	}
	if e.col+w > e.columns {
		e.col = 0
		e.down()
	}
	for len(e.rows[e.row]) < e.col+w {
		e.rows[e.row] = append(e.rows[e.row], " ")
	}
	e.rows[e.row][e.col] = s
	for i := 1; i < w; i++ {
		e.rows[e.row][e.col+i] = ""
	}
	e.col += w
}

func (e *emulator) down() {
	e.row++
	if e.row == len(e.rows) {
		e.rows = append(e.rows, nil)
	}
}

// String is what stands on the screen and above it.
func (e *emulator) String() string {
	var lines []string
	for _, row := range e.rows {
		lines = append(lines, strings.TrimRight(strings.Join(row, ""), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
