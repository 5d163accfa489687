package cell

import (
	"encoding/binary"
	"math"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// AppendKey writes the canonical form of a valid cell: two cells have the same form if and only if they hold the same
// value, so 1 and 1.00 are one key, and so are two ways to write one instant. A datetime without a zone is never the
// same as one with a zone. Text, durations and JSON are the same where their bytes are.
func (p *Parser) AppendKey(dst, b []byte) []byte {
	switch {
	case p.typ == contract.TypeBoolean:
		value, _ := p.boolean(b)
		return append(dst, '0'+byte(value))
	case p.kind == Float:
		return p.appendNumber(dst, b)
	case p.kind == Time:
		m, _ := p.moment(b)
		return m.appendKey(dst)
	}
	return append(dst, b...)
}

// Short says whether the cell is so short that its float64 tells its number from every other such cell's: fifteen
// digits survive the way through a float64. Only beyond it is a key more than the value's bits.
func Short(b []byte) bool { return len(b) <= 15 }

func (p *Parser) appendNumber(dst, b []byte) []byte {
	var frame [longNumber]byte
	b, _ = p.number.normal(frame[:0], b)
	d, ok := scanDecimal(b)
	if ok {
		return d.appendCanonical(dst)
	}
	v, _ := parseSpecial(b)
	switch {
	case math.IsNaN(v):
		return append(dst, "nan"...)
	case v < 0:
		return append(dst, "-inf"...)
	default:
		return append(dst, "inf"...)
	}
}

func (m moment) appendKey(dst []byte) []byte {
	zone := byte('n')
	if m.zoned {
		zone = 'z'
	}
	dst = append(dst, zone)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.micros)) //nolint:gosec // the bits are meant
	return append(dst, trimZeros(m.rest)...)
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
