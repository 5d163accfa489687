package cell

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
)

// decimal is a number as it is written: sign, digits before and after the point, exponent.
type decimal struct {
	negative bool
	whole    []byte // digits before the point
	part     []byte // digits after it
	point    bool
	exponent bool
	power    int64
}

// maxExponent is as many digits as an exponent may have; Python's Decimal knows no more either.
const maxExponent = 18

// scanDecimal takes a plain, trimmed number apart. It holds the grammar: [+-] digits [. digits] [e [+-] digits], with at
// least one digit around the point.
func scanDecimal(b []byte) (decimal, bool) {
	var d decimal
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.negative = b[0] == '-'
		b = b[1:]
	}
	d.whole, b = splitDigits(b)
	if len(b) > 0 && b[0] == '.' {
		d.point = true
		d.part, b = splitDigits(b[1:])
	}
	if len(d.whole)+len(d.part) == 0 {
		return d, false
	}
	if len(b) == 0 {
		return d, true
	}
	if b[0]|0x20 != 'e' {
		return d, false
	}
	d.exponent = true
	return d, d.scanExponent(b[1:])
}

func (d *decimal) scanExponent(b []byte) bool {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	number, rest := splitDigits(b)
	if len(number) == 0 || len(rest) > 0 {
		return false
	}
	number = bytes.TrimLeft(number, "0")
	if len(number) > maxExponent {
		return false
	}
	for _, c := range number {
		d.power = d.power*10 + int64(c-'0')
	}
	if negative {
		d.power = -d.power
	}
	return true
}

func splitDigits(b []byte) (number, rest []byte) {
	i := 0
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return b[:i], b[i:]
}

// appendCanonical writes the number so that equal ones are equal bytes: sign, digits without zeros at either end, and
// the power of ten of the last of them. Zero has no digits.
func (d *decimal) appendCanonical(dst []byte) []byte {
	start := len(dst)
	if d.negative {
		dst = append(dst, '-')
	}
	first := len(dst)
	for _, digits := range [...][]byte{d.whole, d.part} {
		if len(dst) == first {
			digits = bytes.TrimLeft(digits, "0")
		}
		dst = append(dst, digits...)
	}
	power := d.power - int64(len(d.part))
	last := len(dst)
	for last > first && dst[last-1] == '0' {
		last--
		power++
	}
	if last == first {
		return append(dst[:start], '0')
	}
	dst = append(dst[:last], 'e')
	return strconv.AppendInt(dst, power, 10)
}

// compareCanonical compares two finite numbers that appendCanonical wrote.
func compareCanonical(a, b []byte) int {
	an, ad, ap := splitCanonical(a)
	bn, bd, bp := splitCanonical(b)
	if an != bn {
		if an {
			return -1
		}
		return 1
	}
	sign := 1
	if an {
		sign = -1
	}
	switch {
	case len(ad) == 0 || len(bd) == 0: // zero, which has no sign
		return cmp.Compare(len(ad), len(bd))
	case ap+int64(len(ad)) < bp+int64(len(bd)):
		return -sign
	case ap+int64(len(ad)) > bp+int64(len(bd)):
		return sign
	}
	// The highest digits are of the same power of ten, and none ends in a zero, so that the text decides.
	return sign * bytes.Compare(ad, bd)
}

func splitCanonical(c []byte) (negative bool, number []byte, power int64) {
	if len(c) > 0 && c[0] == '-' {
		negative, c = true, c[1:]
	}
	e := bytes.IndexByte(c, 'e')
	if e < 0 {
		return false, nil, 0
	}
	power, _ = strconv.ParseInt(string(c[e+1:]), 10, 64)
	return negative, c[:e], power
}

// Compare says whether the number in cell a is less than (-1), equal to (0) or greater than (1) that in cell b, exactly.
// It is for the few that float64 can't tell apart. A number that is NaN compares with nothing: ok is false.
func (p *Parser) Compare(a, b []byte) (order int, ok bool) {
	va, oka := p.Float(a)
	vb, okb := p.Float(b)
	switch {
	case !oka || !okb || math.IsNaN(va) || math.IsNaN(vb):
		return 0, false
	case va < vb:
		return -1, true
	case va > vb:
		return 1, true
	}
	var fa, fb [longNumber]byte
	ka, kb := p.AppendKey(fa[:0], a), p.AppendKey(fb[:0], b)
	switch ia, ib := isInfinite(ka), isInfinite(kb); {
	case ia && ib:
		return 0, true
	case ia == (va > 0) && ia != ib, ib == (va < 0) && ia != ib: // one is, the other is only beyond the range of float64
		return 1, true
	case ia != ib:
		return -1, true
	}
	return compareCanonical(ka, kb), true
}

func isInfinite(canonical []byte) bool { return bytes.HasSuffix(canonical, []byte("inf")) }
