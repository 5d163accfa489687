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
	needles map[[2]byte][][]byte // by their first two bytes
	begins  []bool               // the same bytes as a number: does any needle begin so
	longest int
}

// NewMask returns a mask for the given values, nil if there are none. Of a value of several lines each line is hidden, since output is
// looked at line by line.
func NewMask(secrets ...string) *Mask {
	if strings.Join(secrets, "") == "" {
		return nil
	}
	seen := map[string]bool{}
	m := &Mask{needles: map[[2]byte][][]byte{}, begins: make([]bool, 1<<16)}
	for _, secret := range secrets {
		for _, line := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			for _, s := range spellings(strings.TrimSpace(line)) {
				if len(s) < shortest || seen[s] {
					continue
				}
				seen[s] = true
				m.add([]byte(s))
			}
		}
	}
	return m
}

func (m *Mask) add(needle []byte) {
	begin := [2]byte(needle)
	m.needles[begin] = append(m.needles[begin], needle)
	m.begins[int(begin[0])<<8|int(begin[1])] = true
	m.longest = max(m.longest, len(needle))
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
	if m == nil || m.longest == 0 {
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

// Cut returns the first n bytes of s with every secret hidden, also one that is cut in two at n.
func (m *Mask) Cut(s string, n int) string {
	n = min(max(n, 0), len(s))
	if m == nil {
		return s[:n]
	}
	var out strings.Builder
	at := 0
	for _, sp := range m.spans([]byte(s)) {
		if sp.from >= n {
			break
		}
		out.WriteString(s[at:sp.from])
		out.WriteString(hiddenAs)
		at = sp.to
	}
	if at < n {
		out.WriteString(s[at:n])
	}
	return out.String()
}

type span struct{ from, to int }

// spans finds every occurrence of every spelling, overlapping ones made one: a value that is part of another must not
// leave the rest of it readable.
func (m *Mask) spans(b []byte) []span {
	if m.longest == 0 {
		return nil
	}
	var merged []span
	for i := range max(len(b)-1, 0) {
		if !m.begins[int(b[i])<<8|int(b[i+1])] {
			continue
		}
		for _, needle := range m.needles[[2]byte(b[i:])] {
			if !bytes.HasPrefix(b[i:], needle) {
				continue
			}
			to := i + len(needle)
			if n := len(merged); n > 0 && i <= merged[n-1].to {
				merged[n-1].to = max(merged[n-1].to, to)
			} else {
				merged = append(merged, span{i, to})
			}
		}
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
