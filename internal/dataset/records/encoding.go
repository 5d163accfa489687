package records

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// noText stands for what the encoding has no character for. It is no UTF-8, so Parse notes it.
const noText = 0xff

// An encoding is one that files can have.
type encoding struct {
	name string
	mark string // the byte-order mark that belongs to it, with which it may begin
	// decode appends the text of as much of src as is whole characters, and says how much that was. It is nil for UTF-8.
	decode func(dst, src []byte, last bool) ([]byte, int)
}

// findEncoding returns the encoding of that name, as the standard, IANA or Python write it. Empty is utf-8. begin is how
// the file begins: it tells the byte order of utf-16.
func findEncoding(name string, begin []byte) (encoding, error) {
	switch key := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-"); key {
	case "", "utf-8", "utf8":
		return encoding{name: "utf-8"}, nil
	case "utf-8-sig", "utf8-sig":
		return encoding{name: "utf-8-sig", mark: markUTF8}, nil
	case "ascii", "us-ascii":
		return encoding{name: "ascii", decode: decodeASCII}, nil
	case "iso-8859-1", "iso8859-1", "latin-1", "latin1":
		return encoding{name: "iso-8859-1", decode: decodeCharmap(charmap.ISO8859_1)}, nil
	case "iso-8859-15", "iso8859-15", "latin-9", "latin9":
		return encoding{name: "iso-8859-15", decode: decodeCharmap(charmap.ISO8859_15)}, nil
	case "windows-1252", "cp1252":
		return encoding{name: "windows-1252", decode: decodeCharmap(charmap.Windows1252)}, nil
	case "utf-16le", "utf-16-le":
		return encoding{name: "utf-16-le", decode: decodeUTF16(false)}, nil
	case "utf-16be", "utf-16-be":
		return encoding{name: "utf-16-be", decode: decodeUTF16(true)}, nil
	case "utf-16", "utf16":
		if strings.HasPrefix(string(begin), markBig) {
			return encoding{name: "utf-16", mark: markBig, decode: decodeUTF16(true)}, nil
		}
		return encoding{name: "utf-16", mark: markLittle, decode: decodeUTF16(false)}, nil
	}
	return encoding{}, fmt.Errorf("read encoding %q: it is not known: save the file in one of utf-8, utf-8-sig, utf-16, "+
		"utf-16-le, utf-16-be, ascii, iso-8859-1, iso-8859-15, windows-1252, and declare that", name)
}

// Byte-order marks.
const (
	markUTF8   = "\xef\xbb\xbf"
	markLittle = "\xff\xfe"
	markBig    = "\xfe\xff"
)

// judgeMark returns the byte-order mark that the file begins with, and what is wrong with it.
func (e encoding) judgeMark(begin []byte) (mark, problem string) {
	for _, m := range []struct{ mark, name, declare string }{
		{markUTF8, "utf-8", "utf-8-sig"}, {markLittle, "utf-16", "utf-16"}, {markBig, "utf-16", "utf-16"},
	} {
		switch {
		case !strings.HasPrefix(string(begin), m.mark):
			continue
		case m.mark == e.mark:
			return m.mark, ""
		case m.mark != markUTF8 && e.decode != nil && !strings.HasPrefix(e.name, "utf-16"):
			return "", "" // two letters
		}
		return m.mark, fmt.Sprintf("the file begins with a byte-order mark of %s, and its encoding is declared as %s: "+
			"remove the mark, or declare the encoding as %s", m.name, e.name, m.declare)
	}
	return "", ""
}

func decodeASCII(dst, src []byte, _ bool) ([]byte, int) {
	for _, c := range src {
		if c >= utf8.RuneSelf {
			c = noText
		}
		dst = append(dst, c)
	}
	return dst, len(src)
}

// decodeCharmap reads an encoding of one byte for a character. Bytes that windows-1252 leaves open are no text, as in
// Python; the charmap has control characters for them.
func decodeCharmap(m *charmap.Charmap) func(dst, src []byte, last bool) ([]byte, int) {
	var texts [256][]byte
	for i := range texts {
		c := byte(i)
		r := m.DecodeByte(c)
		texts[i] = utf8.AppendRune(nil, r)
		if r == utf8.RuneError || m == charmap.Windows1252 && c >= utf8.RuneSelf && r == rune(c) && r < 0xa0 {
			texts[i] = []byte{noText}
		}
	}
	return func(dst, src []byte, _ bool) ([]byte, int) {
		for _, c := range src {
			if c < utf8.RuneSelf {
				dst = append(dst, c)
				continue
			}
			dst = append(dst, texts[c]...)
		}
		return dst, len(src)
	}
}

// decodeUTF16 reads UTF-16. A surrogate without its other half, or half a unit at the end, is no text.
func decodeUTF16(big bool) func(dst, src []byte, last bool) ([]byte, int) {
	unit := func(src []byte) rune { return rune(src[0]) | rune(src[1])<<8 }
	if big {
		unit = func(src []byte) rune { return rune(src[1]) | rune(src[0])<<8 }
	}
	return func(dst, src []byte, last bool) ([]byte, int) {
		i := 0
		for ; i+2 <= len(src); i += 2 {
			r := unit(src[i:])
			if !utf16.IsSurrogate(r) {
				dst = utf8.AppendRune(dst, r)
				continue
			}
			if i+4 > len(src) && !last {
				return dst, i // its other half is to come
			}
			pair := rune(utf8.RuneError)
			if i+4 <= len(src) {
				pair = utf16.DecodeRune(r, unit(src[i+2:]))
			}
			if pair == utf8.RuneError {
				dst = append(dst, noText)
				continue
			}
			dst = utf8.AppendRune(dst, pair)
			i += 2
		}
		if last && i < len(src) {
			return append(dst, noText), len(src)
		}
		return dst, i
	}
}

// A decoder turns a file's bytes into UTF-8.
type decoder struct {
	src    io.Reader
	decode func(dst, src []byte, last bool) ([]byte, int)
	in     []byte // read, not yet decoded
	out    []byte // decoded
	taken  int    // of out
	err    error  // of src
}

const decoderSize = 64 << 10

func newDecoder(src io.Reader, e encoding) *decoder {
	return &decoder{src: src, decode: e.decode, in: make([]byte, 0, decoderSize)}
}

func (d *decoder) Read(p []byte) (int, error) {
	for d.taken == len(d.out) {
		if d.err != nil && len(d.in) == 0 {
			return 0, d.err
		}
		if d.err == nil {
			var n int
			n, d.err = d.src.Read(d.in[len(d.in):cap(d.in)])
			d.in = d.in[:len(d.in)+n]
		}
		var used int
		d.out, used = d.decode(d.out[:0], d.in, d.err != nil)
		d.taken = 0
		d.in = d.in[:copy(d.in, d.in[used:])]
	}
	n := copy(p, d.out[d.taken:])
	d.taken += n
	return n, nil
}
