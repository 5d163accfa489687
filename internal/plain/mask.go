package plain

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// shortest is the length under which a value is not masked: it would blot out innocent text everywhere, and so show
// what it is.
const shortest = 4

// hiddenAs stands where a secret stood.
const hiddenAs = "***"

// A Mask hides secret values, in the spellings in which they turn up: plain, URL-encoded, in base64 and hexadecimal,
// quoted, reversed. The nil Mask hides nothing.
type Mask struct {
	needles [][]byte
	longest int
}

// NewMask returns a mask for the given values. Of a value of several lines each line is hidden, since output is
// looked at line by line.
func NewMask(secrets ...string) *Mask {
	seen := map[string]bool{}
	m := &Mask{}
	for _, secret := range secrets {
		for _, line := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			for _, s := range spellings(strings.TrimSpace(line)) {
				if len(s) < shortest || seen[s] {
					continue
				}
				seen[s] = true
				m.needles = append(m.needles, []byte(s))
				m.longest = max(m.longest, len(s))
			}
		}
	}
	return m
}

// Longest is the length of the longest spelling: so much text must be seen at once for nothing to slip through.
func (m *Mask) Longest() int {
	if m == nil {
		return 0
	}
	return m.longest
}

// String returns s with every secret hidden.
func (m *Mask) String(s string) string {
	if m == nil || len(m.needles) == 0 {
		return s
	}
	return string(m.Bytes([]byte(s)))
}

// Bytes returns b with every secret hidden: b itself if there is none, else a copy.
func (m *Mask) Bytes(b []byte) []byte {
	if m == nil {
		return b
	}
	spans := m.spans(b)
	if len(spans) == 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	at := 0
	for _, s := range spans {
		out = append(out, b[at:s.from]...)
		out = append(out, hiddenAs...)
		at = s.to
	}
	return append(out, b[at:]...)
}

type span struct{ from, to int }

// spans finds every occurrence of every spelling, overlapping ones made one: a value that is part of another must not
// leave the rest of it readable.
func (m *Mask) spans(b []byte) []span {
	var found []span
	for _, needle := range m.needles {
		for at := 0; ; {
			i := bytes.Index(b[at:], needle)
			if i < 0 {
				break
			}
			found = append(found, span{at + i, at + i + len(needle)})
			at += i + 1
		}
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var merged []span
	for _, s := range found {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// spellings are the ways in which tools and libraries write a value.
func spellings(s string) []string {
	if len(s) < shortest {
		return nil
	}
	query, path := url.QueryEscape(s), url.PathEscape(s)
	user := strings.TrimPrefix(url.UserPassword("", s).String(), ":")
	all := []string{
		s, query, path, user, lowerHex(query), lowerHex(path), lowerHex(user),
		hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
		strings.ReplaceAll(s, "'", `'\''`), reversed(s),
	}
	if quoted, err := json.Marshal(s); err == nil {
		all = append(all, string(quoted[1:len(quoted)-1]))
	}
	return append(all, base64Spellings(s)...)
}

// base64Spellings returns what a value looks like inside of a longer text that was encoded, at each of the three
// offsets; the characters at the ends that depend on its neighbours are left out.
func base64Spellings(s string) []string {
	var all []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := enc.EncodeToString(append(make([]byte, shift), s...))
			from := (shift*8 + 5) / 6
			to := (shift + len(s)) * 8 / 6
			if to-from > shortest {
				all = append(all, text[from:to])
			}
		}
	}
	return all
}

// lowerHex writes %2F as %2f.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}
