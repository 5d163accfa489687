package cell

import (
	"bytes"
)

// length of the try-th alternative (from 0) that a step has at the start of b, in the order of Python's regular
// expression for it; 0 if there is none left.
func (o op) length(b []byte, try int) int {
	switch o.kind {
	case literal:
		if try == 0 && len(b) > 0 && lower(b[0]) == o.literal {
			return 1
		}
		return 0
	case space:
		return max(spaces(b)-try, 0)
	case 'Y':
		return fixedDigits(b, 4, try)
	case 'y':
		return fixedDigits(b, 2, try)
	case 'j':
		return yearDay(b, try)
	case 'f':
		n, _ := splitDigits(b[:min(len(b), 6)])
		return max(len(n)-try, 0)
	case 'z':
		return zone(b, try)
	case 'd', 'm', 'I', 'H', 'M', 'S', 'w', 'u':
		return smallNumber(o.kind, b, try)
	}
	if try > 0 {
		return 0
	}
	_, n := word(o.kind, b)
	return n
}

// smallNumber is of one or two digits.
func smallNumber(kind byte, b []byte, try int) int {
	switch kind {
	case 'd':
		if try == 0 && len(b) > 1 && b[0] == ' ' && '1' <= b[1] && b[1] <= '9' {
			return 2
		}
		return oneOrTwo(b, 1, 31, try)
	case 'm', 'I':
		return oneOrTwo(b, 1, 12, try)
	case 'H':
		return oneOrTwo(b, 0, 23, try)
	case 'M':
		return oneOrTwo(b, 0, 59, try)
	case 'S':
		return oneOrTwo(b, 0, 61, try)
	case 'w':
		return oneDigit(b, 0, 6, try)
	default: // u
		return oneDigit(b, 1, 7, try)
	}
}

func spaces(b []byte) int {
	n := 0
	for n < len(b) && (b[n] == ' ' || '\t' <= b[n] && b[n] <= '\r' || 0x1c <= b[n] && b[n] <= 0x1f) {
		n++
	}
	return n
}

func fixedDigits(b []byte, n, try int) int {
	if _, ok := digits(b, n); !ok || try > 0 {
		return 0
	}
	return n
}

func oneDigit(b []byte, low, high, try int) int {
	if v, ok := digits(b, 1); ok && try == 0 && low <= v && v <= high {
		return 1
	}
	return 0
}

// oneOrTwo digits: two if they are within the bounds, then the first alone.
func oneOrTwo(b []byte, low, high, try int) int {
	if len(b) > 1 {
		if v := two(b); low <= v && v <= high {
			if try == 0 {
				return 2
			}
			try--
		}
	}
	return oneDigit(b, low, 9, try)
}

func yearDay(b []byte, try int) int {
	if v, ok := digits(b, 3); ok && 1 <= v && v <= 366 {
		if try == 0 {
			return 3
		}
		try--
	}
	return oneOrTwo(b, 1, 99, try)
}

// zone reads [+-]hh[:]mm, seconds if there are any, and their fraction; or Z.
func zone(b []byte, try int) int {
	if len(b) > 0 && b[0] == 'Z' && try == 0 {
		return 1
	}
	if len(b) < 5 || b[0] != '+' && b[0] != '-' || two(b[1:]) > 99 {
		return 0
	}
	base := 3 + sexagesimal(b[3:])
	if base == 3 {
		return 0
	}
	if n := sexagesimal(b[base:]); n > 0 {
		if rest := b[base+n:]; len(rest) > 1 && rest[0] == '.' {
			fraction, _ := splitDigits(rest[1:min(len(rest), 7)])
			if try < len(fraction) {
				return base + n + 1 + len(fraction) - try
			}
			try -= len(fraction)
		}
		if try == 0 {
			return base + n
		}
		try--
	}
	if try == 0 {
		return base
	}
	return 0
}

// sexagesimal is the length of [:]00 to [:]59 at the start of b.
func sexagesimal(b []byte) int {
	n := 2
	if len(b) > 0 && b[0] == ':' {
		n, b = 3, b[1:]
	}
	if len(b) < 2 || two(b) > 59 {
		return 0
	}
	return n
}

// word finds the name that b starts with: its index, and its length or 0.
func word(kind byte, b []byte) (index, n int) {
	names := ""
	switch kind {
	case 'a':
		names = "mon tue wed thu fri sat sun"
	case 'A':
		names = "monday tuesday wednesday thursday friday saturday sunday"
	case 'b':
		names = "jan feb mar apr may jun jul aug sep oct nov dec"
	case 'B':
		names = "january february march april may june july august september october november december"
	case 'p':
		names = "am pm"
	case 'Z':
		names = "utc gmt"
	}
	for i := 0; names != ""; i++ {
		end := 0
		for end < len(names) && names[end] != ' ' {
			end++
		}
		if len(b) >= end && equalFold(b[:end], names[:end]) {
			return i, end
		}
		names = names[min(end+1, len(names)):]
	}
	return 0, 0
}

func equalFold(b []byte, name string) bool {
	for i := range len(name) {
		if lower(b[i]) != name[i] {
			return false
		}
	}
	return true
}

// fields is what the directives of a pattern read.
type fields struct {
	year, month, day, yearDay    int
	hour, minute, second, micros int
	twelve, afternoon            bool // the hour is one of twelve, and which half of the day
	offset                       int64
	zoned, wrong                 bool
}

// set what a directive read.
func (f *fields) set(kind byte, b []byte) {
	switch kind {
	case 'Y':
		f.year = number(b)
	case 'y':
		f.year = 1900 + number(b)
		if f.year < 1969 { // as POSIX has it
			f.year += 100
		}
	case 'm':
		f.month = number(b)
	case 'b', 'B':
		i, _ := word(kind, b)
		f.month = i + 1
	case 'd':
		f.day = number(bytes.TrimLeft(b, " "))
	case 'j':
		f.yearDay = number(b)
	case 'H':
		f.hour = number(b)
	case 'I':
		f.hour, f.twelve = number(b), true
	case 'p':
		i, _ := word(kind, b)
		f.afternoon = i == 1
	case 'M':
		f.minute = number(b)
	case 'S':
		f.second = number(b)
	case 'f':
		f.micros = int(microseconds(b))
	case 'z':
		f.setZone(b)
	}
}

// number of a few digits.
func number(b []byte) int {
	v := 0
	for _, c := range b {
		v = v*10 + int(c-'0')
	}
	return v
}

// setZone reads what the pattern lets through. Colons must stand at both places or at none, and the offset must be less
// than a day, or Python raises an error.
func (f *fields) setZone(b []byte) {
	f.zoned = true
	if b[0] == 'Z' {
		return
	}
	colon := b[3] == ':'
	rest := b[3:]
	f.offset = int64(two(b[1:])) * hour
	for unit := minute; len(rest) > 1 && unit >= second; unit /= 60 {
		if colon != (rest[0] == ':') {
			f.wrong = true
			return
		}
		if colon {
			rest = rest[1:]
		}
		f.offset += int64(two(rest)) * unit
		rest = rest[2:]
	}
	if len(rest) > 1 {
		f.offset += microseconds(rest[1:])
	}
	f.wrong = f.offset >= day
	if b[0] == '-' {
		f.offset = -f.offset
	}
}

// civil is the date and time that the fields make, if there is one.
func (f *fields) civil() (civil, bool) {
	c := civil{offset: f.offset, zoned: f.zoned}
	month, dayOfMonth := f.month, f.day
	if f.yearDay > 0 { // it overrules the date
		month, dayOfMonth = 1, 1
	}
	var ok bool
	c.days, ok = daysOf(f.year, month, dayOfMonth)
	if f.yearDay > 0 {
		c.days += int64(f.yearDay - 1)
	}
	if f.twelve {
		f.hour %= 12
		if f.afternoon {
			f.hour += 12
		}
	}
	c.clock = int64(f.hour)*hour + int64(f.minute)*minute + int64(f.second)*second + int64(f.micros)
	return c, ok && !f.wrong && f.second < 60
}
