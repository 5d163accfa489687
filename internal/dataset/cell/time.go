package cell

// Microseconds.
const (
	second = int64(1_000_000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// moment is a point in time, or a time of day.
type moment struct {
	micros int64
	zoned  bool
	rest   []byte // digits beyond the microsecond, of the cell itself
}

// civil is what stands in a cell.
type civil struct {
	days   int64 // since 1970-01-01
	clock  int64 // microseconds since midnight
	offset int64 // microseconds east of Greenwich
	zoned  bool
	rest   []byte
}

func (c civil) instant() moment {
	return moment{micros: c.days*day + c.clock - c.offset, zoned: c.zoned, rest: c.rest}
}

func (c civil) timeOfDay() moment {
	return moment{micros: c.clock - c.offset, zoned: c.zoned, rest: c.rest}
}

// digits reads exactly n of them at the start of b.
func digits(b []byte, n int) (int, bool) {
	if len(b) < n {
		return 0, false
	}
	v := 0
	for _, c := range b[:n] {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + int(d)
	}
	return v, true
}

// two reads two digits at b[0] and b[1]; if they are none, a number above all that may stand there.
func two(b []byte) int {
	hi, lo := b[0]-'0', b[1]-'0'
	if hi > 9 || lo > 9 {
		return 1 << 20
	}
	return int(hi)*10 + int(lo)
}

// parseDays reads YYYY-MM-DD.
func parseDays(b []byte) (int64, bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	year := two(b)*100 + two(b[2:])
	return daysOf(year, two(b[5:]), two(b[8:]))
}

// daysOf a date of the Gregorian calendar, since 1970-01-01. Years are 1 to 9999, as in Python.
func daysOf(year, month, dayOfMonth int) (int64, bool) {
	if year < 1 || year > 9999 || month < 1 || month > 12 || dayOfMonth < 1 || dayOfMonth > daysIn(year, month) {
		return 0, false
	}
	// Years start in March, so that the leap day is the last (https://howardhinnant.github.io/date_algorithms.html).
	if month <= 2 {
		year--
		month += 12
	}
	yearDay := (153*(month-3)+2)/5 + dayOfMonth - 1
	return int64(year*365 + year/4 - year/100 + year/400 + yearDay - 719468), true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

func parseDate(b []byte) (moment, bool) {
	days, ok := parseDays(b)
	return moment{micros: days * day}, ok
}

// parseYearMonth reads YYYY-MM, as its first day.
func parseYearMonth(b []byte) (moment, bool) {
	year, ok := digits(b, 4)
	if !ok || len(b) != 7 || b[4] != '-' {
		return moment{}, false
	}
	if year == 0 { // which frictionless takes, and Go's and Python's calendars don't have
		year = 1
	}
	days, ok := daysOf(year, two(b[5:]), 1)
	return moment{micros: days * day}, ok
}

// parseDatetime reads YYYY-MM-DDThh:mm:ss, a fraction if there is one, and a zone if there is one.
func parseDatetime(b []byte) (moment, bool) {
	if len(b) < 19 || b[10] != 'T' {
		return moment{}, false
	}
	c := civil{}
	var ok bool
	if c.days, ok = parseDays(b[:10]); !ok || !c.parseClock(b[11:]) {
		return moment{}, false
	}
	return c.instant(), true
}

// parseTimeOfDay reads hh:mm:ss, a fraction if there is one, and a zone if there is one. 24:00:00 is midnight.
func parseTimeOfDay(b []byte) (moment, bool) {
	c := civil{}
	if !c.parseClock(b) {
		return moment{}, false
	}
	c.clock %= day
	return c.timeOfDay(), true
}

// parseClock reads hh:mm:ss[.fraction][zone].
func (c *civil) parseClock(b []byte) bool {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return false
	}
	h, m, s := two(b), two(b[3:]), two(b[6:])
	if h > 24 || m > 59 || s > 59 {
		return false
	}
	c.clock = int64(h)*hour + int64(m)*minute + int64(s)*second
	b = b[8:]
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		fraction, rest := splitDigits(b[1:])
		if len(fraction) == 0 {
			return false
		}
		c.clock += microseconds(fraction)
		c.rest = fraction[min(len(fraction), 6):]
		b = rest
	}
	if h == 24 && c.clock != day {
		return false
	}
	return len(b) == 0 || c.parseZone(b)
}

// microseconds of the digits after a second's point; those after the sixth are cut off.
func microseconds(fraction []byte) int64 {
	v, unit := int64(0), second
	for _, c := range fraction[:min(len(fraction), 6)] {
		unit /= 10
		v += int64(c-'0') * unit
	}
	return v
}

// parseZone reads Z, ±hh, ±hhmm or ±hh:mm to the end of b.
func (c *civil) parseZone(b []byte) bool {
	c.zoned = true
	if len(b) == 1 {
		return b[0]|0x20 == 'z'
	}
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return false
	}
	h, m := two(b[1:]), 0
	switch {
	case len(b) == 3:
	case len(b) == 5:
		m = two(b[3:])
	case len(b) == 6 && b[3] == ':':
		m = two(b[4:])
	default:
		return false
	}
	c.offset = int64(h)*hour + int64(m)*minute
	if b[0] == '-' {
		c.offset = -c.offset
	}
	return h < 24 && m < 60
}
