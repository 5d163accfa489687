package terminal

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// A Stream is one of the two that a person sees.
type Stream struct {
	W     io.Writer
	TTY   bool // a screen that somebody looks at: the cursor can be moved
	Color bool
	Links bool // the terminal understands OSC 8
}

// Options say where and how to speak. Detect fills them in from the process.
type Options struct {
	Out Stream // the result: a line a stage, what failed, the verdict
	Err Stream // messages: the live view, what is being made ready, tool output under Verbose
	// OneScreen says that both are the same terminal, so that what is written must be written as one.
	OneScreen bool
	Size      func() (columns, rows int) // of the screen, asked before each drawing; nil is 80 by 24
	Verbose   bool                       // stream every tool's output
	ASCII     bool                       // the terminal shows no other letters
	Findings  int                        // shown of one step; 0 is 10
	Now       func() time.Time           // nil is time.Now
}

// Detect looks at the two streams and at the environment: TERM, CI, NO_COLOR, CLICOLOR, CLICOLOR_FORCE, FORCE_COLOR,
// FORCE_HYPERLINK, the locale, and what terminals call themselves by.
func Detect(out, err *os.File, getenv func(string) string) Options {
	opts := Options{
		Out:   stream(out, getenv),
		Err:   stream(err, getenv),
		ASCII: asciiOnly(getenv),
		Size: func() (int, int) {
			for _, f := range []*os.File{err, out} {
				if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
					return columns, rows
				}
			}
			return 0, 0
		},
	}
	opts.OneScreen = opts.Out.TTY && opts.Err.TTY && sameFile(out, err)
	return opts
}

func stream(f *os.File, getenv func(string) string) Stream {
	screen := term.IsTerminal(int(f.Fd())) && !dumb(getenv)
	s := Stream{W: f, TTY: screen && !set(getenv("CI")), Color: colored(screen, getenv)}
	s.Links = links(s.TTY && s.Color, getenv)
	return s
}

func dumb(getenv func(string) string) bool {
	switch getenv("TERM") {
	case "dumb":
		return true
	case "": // Windows sets none, but its new terminal names itself
		return runtime.GOOS != "windows" || getenv("WT_SESSION") == ""
	}
	return false
}

// set reads a variable that is a switch: 0 and false are off.
func set(v string) bool {
	return v != "" && v != "0" && !strings.EqualFold(v, "false")
}

// colored follows no-color.org first: who asked for no colour gets none, whatever else forces it.
func colored(screen bool, getenv func(string) string) bool {
	switch {
	case getenv("NO_COLOR") != "":
		return false
	case set(getenv("CLICOLOR_FORCE")), set(getenv("FORCE_COLOR")):
		return true
	case getenv("CLICOLOR") == "0", getenv("FORCE_COLOR") != "":
		return false
	}
	return screen
}

// links knows the terminals that show OSC 8 as a link; others may print it. A multiplexer hides which one it is.
func links(able bool, getenv func(string) string) bool {
	if v := getenv("FORCE_HYPERLINK"); v != "" {
		return set(v)
	}
	if !able || getenv("TMUX") != "" || strings.HasPrefix(getenv("TERM"), "screen") || getenv("TERM_PROGRAM") == "Apple_Terminal" {
		return false
	}
	vte, _ := strconv.Atoi(getenv("VTE_VERSION"))
	for _, known := range []string{"kitty", "alacritty", "foot", "ghostty", "wezterm", "contour"} {
		if strings.Contains(getenv("TERM"), known) {
			return true
		}
	}
	switch getenv("TERM_PROGRAM") {
	case "iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "rio", "WarpTerminal":
		return true
	}
	return vte >= 5000 || getenv("WT_SESSION") != "" || getenv("KONSOLE_VERSION") != "" || getenv("DOMTERM") != ""
}

// asciiOnly is for the console of Linux, whose fonts hold few letters, and for a locale that names another encoding.
// No locale at all says nothing: containers have none, behind terminals that show everything.
func asciiOnly(getenv func(string) string) bool {
	if getenv("TERM") == "linux" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}

func sameFile(a, b *os.File) bool {
	ai, errA := a.Stat()
	bi, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(ai, bi)
}
