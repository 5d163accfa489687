package records

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A marker finds, eight bytes at a time, the bytes that can have a meaning: delimiters, line ends, quotes and escapes.
// It never looks back, so what is behind the place being read may change.
type marker struct {
	data                     []byte
	delimiter, quote, escape uint64 // eight times
	more                     bool   // there are carriage returns or escapes
	base                     int    // of the eight bytes being gone through
	left                     uint64 // the high bit of each of them that is marked and not yet passed
}

const (
	lows  = 0x7f7f7f7f7f7f7f7f
	ones  = 0x0101010101010101
	feeds = '\n' * ones
	crs   = '\r' * ones
)

func newMarker(data []byte, g *grammar) marker {
	m := marker{data: data, base: -8, delimiter: uint64(g.delimiter) * ones, quote: feeds, escape: feeds}
	if g.quote != 0 {
		m.quote = uint64(g.quote) * ones
	}
	m.more = g.escape != 0 || bytes.IndexByte(data, '\r') >= 0
	if g.escape != 0 {
		m.escape = uint64(g.escape) * ones
	}
	return m
}

// seek returns the first marked place from at on, or the end of the data.
func (m *marker) seek(at int) int {
	if skip := at - m.base; skip < 8 {
		m.left = m.left >> (8 * skip) << (8 * skip)
	} else {
		m.base, m.left = m.base+skip&^7, 0
		m.load()
		skip = at - m.base
		m.left = m.left >> (8 * skip) << (8 * skip)
	}
	for m.left == 0 {
		if m.base += 8; m.base >= len(m.data) {
			m.base -= 8
			return len(m.data)
		}
		m.load()
	}
	return m.base + bits.TrailingZeros64(m.left)>>3
}

func (m *marker) load() {
	w := word(m.data, m.base)
	m.left = zeros(w^m.delimiter) | zeros(w^feeds) | zeros(w^m.quote)
	if m.more {
		m.left |= zeros(w^crs) | zeros(w^m.escape)
	}
}

// word returns eight bytes; behind the end of the data they are 0.
func word(data []byte, at int) uint64 {
	if at+8 <= len(data) {
		return binary.LittleEndian.Uint64(data[at:])
	}
	var last [8]byte
	copy(last[:], data[at:])
	return binary.LittleEndian.Uint64(last[:])
}

// zeros returns the high bit of each byte that is 0; exactly, without a carry from one byte to the next.
func zeros(w uint64) uint64 { return ^((w&lows + lows) | w | lows) }
