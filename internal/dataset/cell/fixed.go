package cell

// A fixed pattern has a place for each of its fields: if all numbers of a cell are padded, as nearly all are, they stand
// always at the same bytes. A cell that is written otherwise is left to the pattern itself.
type fixed struct {
	length   int // without the zone
	literals []placed
	at       [6]int // of year, month, day, hour, minute, second; -1 where there is none
	zone     bool   // at the end
}

// placed is a byte that must stand at a place. Of a letter, the bit that tells its case is masked.
type placed struct {
	at         int
	mask, want byte
}

// Places of fields in fixed.at.
const (
	atYear = iota
	atMonth
	atDay
	atHour
	atMinute
	atSecond
)

// compileFixed returns nil if the pattern has something else than padded numbers and a zone at its end.
func compileFixed(ops []op) *fixed {
	f := &fixed{at: [6]int{-1, -1, -1, -1, -1, -1}}
	for i, o := range ops {
		switch o.kind {
		case literal:
			mask := byte(0xff)
			if 'a' <= o.literal && o.literal <= 'z' {
				mask = 0xdf
			}
			f.literals = append(f.literals, placed{at: f.length, mask: mask, want: o.literal & mask})
			f.length++
		case 'Y':
			f.at[atYear] = f.length
			f.length += 4
		case 'm', 'd', 'H', 'M', 'S':
			f.at[map[byte]int{'m': atMonth, 'd': atDay, 'H': atHour, 'M': atMinute, 'S': atSecond}[o.kind]] = f.length
			f.length += 2
		case 'z':
			if f.zone = i == len(ops)-1; !f.zone {
				return nil
			}
		default:
			return nil
		}
	}
	return f
}

// parse reads a padded cell; ok is false if it is none, which does not mean that it is wrong.
func (f *fixed) parse(b []byte) (c civil, ok bool) {
	if len(b) < f.length || !f.zone && len(b) > f.length {
		return c, false
	}
	for i := range f.literals {
		if l := &f.literals[i]; b[l.at]&l.mask != l.want {
			return c, false
		}
	}
	year, month, dayOfMonth := 1900, 1, 1
	if at := f.at[atYear]; at >= 0 {
		year = two(b[at:])*100 + two(b[at+2:])
	}
	if at := f.at[atMonth]; at >= 0 {
		month = two(b[at:])
	}
	if at := f.at[atDay]; at >= 0 {
		dayOfMonth = two(b[at:])
	}
	var h, m, s int
	if at := f.at[atHour]; at >= 0 {
		h = two(b[at:])
	}
	if at := f.at[atMinute]; at >= 0 {
		m = two(b[at:])
	}
	if at := f.at[atSecond]; at >= 0 {
		s = two(b[at:])
	}
	if h > 23 || m > 59 || s > 59 {
		return c, false
	}
	if c.days, ok = daysOf(year, month, dayOfMonth); !ok {
		return c, false
	}
	c.clock = int64(h)*hour + int64(m)*minute + int64(s)*second
	if f.zone {
		return c, c.parseFixedZone(b[f.length:])
	}
	return c, true
}

// parseFixedZone reads Z, ±hhmm or ±hh:mm.
func (c *civil) parseFixedZone(b []byte) bool {
	if len(b) == 1 {
		c.zoned = true
		return b[0] == 'Z'
	}
	return len(b) > 3 && c.parseZone(b)
}
