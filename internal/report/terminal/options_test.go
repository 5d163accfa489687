package terminal

import (
	"os"
	"path/filepath"
	"testing"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestColored(t *testing.T) {
	tests := []struct {
		name   string
		screen bool
		vars   map[string]string
		want   bool
	}{
		{"screen", true, nil, true},
		{"file", false, nil, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"empty NO_COLOR says nothing", true, map[string]string{"NO_COLOR": ""}, true},
		{"NO_COLOR before force", true, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, false},
		{"CLICOLOR_FORCE", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"CLICOLOR_FORCE=0", false, map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"FORCE_COLOR", false, map[string]string{"FORCE_COLOR": "3"}, true},
		{"FORCE_COLOR=0", true, map[string]string{"FORCE_COLOR": "0"}, false},
		{"CLICOLOR=0", true, map[string]string{"CLICOLOR": "0"}, false},
	}
	for _, test := range tests {
		if got := colored(test.screen, env(test.vars)); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestDumb(t *testing.T) {
	for term, want := range map[string]bool{"dumb": true, "": true, "xterm-256color": false} {
		if got := dumb(env(map[string]string{"TERM": term})); got != want {
			t.Errorf("TERM=%q: %v, want %v", term, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	tests := []struct {
		able bool
		vars map[string]string
		want bool
	}{
		{true, nil, false},
		{true, map[string]string{"VTE_VERSION": "7200"}, true},
		{true, map[string]string{"VTE_VERSION": "4999"}, false},
		{true, map[string]string{"TERM": "xterm-kitty"}, true},
		{true, map[string]string{"TERM_PROGRAM": "iTerm.app"}, true},
		{true, map[string]string{"TERM_PROGRAM": "Apple_Terminal"}, false},
		{true, map[string]string{"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/x"}, false},
		{false, map[string]string{"VTE_VERSION": "7200"}, false},
		{false, map[string]string{"FORCE_HYPERLINK": "1"}, true},
		{true, map[string]string{"VTE_VERSION": "7200", "FORCE_HYPERLINK": "0"}, false},
	}
	for _, test := range tests {
		if got := links(test.able, env(test.vars)); got != test.want {
			t.Errorf("links(%v, %v) = %v, want %v", test.able, test.vars, got, test.want)
		}
	}
}

func TestASCIIOnly(t *testing.T) {
	tests := []struct {
		vars map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "C"}, true},
		{map[string]string{"LANG": "de_DE.UTF-8"}, false},
		{map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, true},
		{map[string]string{"LANG": "C", "LC_CTYPE": "C.utf8"}, false},
		{map[string]string{"LANG": "de_DE.UTF-8", "TERM": "linux"}, true},
	}
	for _, test := range tests {
		if got := asciiOnly(env(test.vars)); got != test.want {
			t.Errorf("asciiOnly(%v) = %v, want %v", test.vars, got, test.want)
		}
	}
}

func TestDetectAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opts := Detect(f, f, env(map[string]string{"TERM": "xterm"}))
	if opts.Out.TTY || opts.Err.TTY || opts.OneScreen || opts.Out.Color || opts.Out.Links {
		t.Errorf("a file is taken for a screen: %+v", opts)
	}
	if columns, rows := opts.Size(); columns != 0 || rows != 0 {
		t.Errorf("a file has the size %d × %d", columns, rows)
	}
}

func TestLinksAreWrittenAroundText(t *testing.T) {
	p := newPalette(Stream{Color: true, Links: true})
	if got, want := p.file("/a b/größe.py", nil)("x"), "\x1b]8;;file:///a%20b/gr%C3%B6%C3%9Fe.py\x1b\\x\x1b]8;;\x1b\\"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := newPalette(Stream{}).file("/a", nil); got != nil {
		t.Error("a terminal without links gets one")
	}
}
