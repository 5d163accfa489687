package plain

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "a b\tc\nd", "a b\tc\nd"},
		{"not only ASCII", "größer … 日本 é", "größer … 日本 é"},
		{"colour", "\x1b[1;31mred\x1b[0m", "red"},
		{"cursor", "a\x1b[2J\x1b[Hb\x1b[?25lc", "abc"},
		{"title, ended by BEL", "\x1b]0;title\x07a", "a"},
		{"link, ended by ST", "\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\", "a"},
		{"clipboard", "\x1b]52;c;ZXZpbA==\x07a", "a"},
		{"DCS, SOS, PM, APC", "\x1bPq\x1b\\a\x1bXs\x1b\\b\x1b^p\x1b\\c\x1b_a\x1b\\d", "abcd"},
		{"string without end", "\x1b]0;kept", "0;kept"},
		{"string does not go over a line", "\x1b]0;kept\nb\x07", "0;kept\nb"},
		{"control sequence without end", "\x1b[31", ""},
		{"character set", "\x1b(Ba\x1b#8b\x1bcc\x1b=d", "abcd"},
		{"escape alone", "a\x1b", "a"},
		{"escape before a line end", "a\x1b\nb", "a\nb"},
		{"two escapes", "\x1b\x1b[31ma", "a"},
		{"C1 as UTF-8", "a\u009b31mb\u009d0;t\u009cc\u0085d", "abcd"},
		{"C1 as bytes", "a\x9b31mb\x9d0;t\x9cc", "abc"},
		{"a string's end inside of a character", "\x1b]0;\u301c\x07a", "a"},
		{"control characters", "a\x00\x07\x08\x0b\x0c\x7fb", "ab"},
		{"CRLF and CR", "a\r\nb\rc", "a\nb\nc"},
		{"bidirectional", "a\u202eb\u2066c\u200fd\ufeff", "abcd"},
		{"invalid", "a\xffb\xc3", "a\ufffdb\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Text(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	if got := Line("\x1b[1ma\nb\r\n\u2028c"); got != "a b c" {
		t.Errorf("got %q", got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"\x1b]0;t\x07a", "\x1b[31m", "a\x9bb", "\xc2\x9d\x1b\\", "\r\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if !utf8.ValidString(got) {
			t.Errorf("not UTF-8: %q", got)
		}
		for _, r := range got {
			if hidden(r) {
				t.Errorf("%q shows %q", s, r)
			}
		}
		if again := Text(got); again != got {
			t.Errorf("not stable: %q, then %q", got, again)
		}
	})
}

func TestMask(t *testing.T) {
	const secret = `S3cr/t+w"rd&x y`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	std := base64.StdEncoding
	tests := map[string]string{
		"plain":          secret,
		"query":          url.QueryEscape(secret),
		"path":           url.PathEscape(secret),
		"lower case":     strings.ReplaceAll(url.PathEscape(secret), "%2F", "%2f"),
		"user":           url.UserPassword("me", secret).String(),
		"JSON":           string(quoted),
		"base64":         std.EncodeToString([]byte(secret)),
		"base64, at 1":   std.EncodeToString([]byte("a" + secret + "tail")),
		"base64, at 2":   std.EncodeToString([]byte("ab" + secret + "tail")),
		"base64, of URL": base64.URLEncoding.EncodeToString([]byte("postgres://u:" + secret + "@h/db")),
		"hexadecimal":    hex.EncodeToString([]byte(secret)),
		"reversed":       reversed(secret),
		"shell":          `'` + secret + `'`,
		"twice":          secret + secret,
	}
	m := NewMask(secret+" \n", "")
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			got := m.String("before " + text + " after")
			if !strings.Contains(got, hiddenAs) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Fatalf("got %q", got)
			}
			// Of base64 the characters that depend on a neighbour stay, at the most one at each end.
			if rest := strings.ReplaceAll(got, hiddenAs, ""); strings.Contains(rest, text) || strings.Contains(rest, "S3cr") || strings.Contains(rest, "M2Ny") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMaskOfSeveral(t *testing.T) {
	tests := []struct {
		name    string
		secrets []string
		in      string
		want    string
	}{
		{"none", nil, "a", "a"},
		{"too short to hide", []string{"abc"}, "abc", "abc"},
		{"one inside of another", []string{"pass", "password1"}, "password1!", "***!"},
		{"overlapping", []string{"abcdef", "defghi"}, "xabcdefghiy", "x***y"},
		{"lines", []string{"first line\nsecond line\r\n"}, "a first line b\nsecond line", "a *** b\n***"},
		{"in several places", []string{"secret"}, "secret, secret", "***, ***"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NewMask(tt.secrets...).String(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	var none *Mask
	if none.String("a") != "a" || string(none.Bytes([]byte("a"))) != "a" || none.Cut("ab", 1) != "a" || none.Longest() != 0 {
		t.Error("the nil mask changes text")
	}
}

func TestCut(t *testing.T) {
	m := NewMask("secret")
	for n, want := range map[int]string{-1: "", 0: "", 2: "ab", 3: "ab***", 7: "ab***", 8: "ab***", 9: "ab***c", 99: "ab***cd"} {
		if got := m.Cut("absecretcd", n); got != want {
			t.Errorf("at %d: got %q, want %q", n, got, want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("secret", "a secret b", 5)
	f.Fuzz(func(t *testing.T, secret, text string, n int) {
		m := NewMask(secret)
		if strings.Contains(secret, "*") || strings.TrimSpace(secret) != secret || len(secret) < shortest || strings.ContainsAny(secret, "\r\n") {
			return
		}
		if got := m.String(text + secret + text); strings.Contains(got, secret) {
			t.Errorf("shown: %q", got)
		}
		m.Cut(text+secret, n)
	})
}
