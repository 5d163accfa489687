package tool

import (
	"os"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 10 20 30 34816 42 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n"
	tests := []struct{ name, in, want string }{
		{"plain", "42 (sh)" + rest, "sh"},
		{"spaces and brackets", "42 (a) R (b c)" + rest, "a) R (b c"},
		{"line end", "42 (a\nb)" + rest, "a\nb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.in))
			if want := (stat{pid: 42, parent: 10, group: 20, session: 30, name: tt.want, state: 'S', start: 987654}); err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, bad := range []string{"", "42", "42 (sh", "42 sh) S", "x (sh)" + rest, "42 (sh) S 1 2"} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}

func TestReadStat(t *testing.T) {
	s, err := readStat(os.Getpid())
	if err != nil || s.pid != os.Getpid() || s.parent != os.Getppid() || s.start == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if id := identify(os.Getpid()); id != identify(os.Getpid()) || id.Start == "" {
		t.Errorf("%+v", id)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b) S 10 20 30 34816 42 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && s.state == 0 {
			t.Errorf("%q has no state", b)
		}
	})
}
