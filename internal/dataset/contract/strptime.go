package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Directives are those of strptime that a date's or time's format may use, as Python reads them in the C locale. The
// others depend on the machine's locale (%c, %x, %X, %Z) or leave the day open (%U, %W, %w, %u, %G, %V).
const Directives = "YymdHIMSfpbBaAjz%"

// checkPattern says what is wrong with a format, "" if nothing is.
func checkPattern(format string, t Type) string {
	if !strings.Contains(format, "%") {
		return "it has no directive"
	}
	found, message := directives(format)
	if message != "" {
		return message
	}
	for i, d := range found {
		if slices.Contains(found[:i], d) && d != '%' {
			return fmt.Sprintf("%%%c stands twice", d)
		}
	}
	return checkParts(string(found), t)
}

// checkParts says which part of a date or time the directives leave open, or give though the type has none.
func checkParts(found string, t Type) string {
	has := func(some string) bool { return strings.ContainsAny(found, some) }
	day := has("Yy") && (has("j") || (has("mbB") && has("d")))
	hour := has("H") || (has("I") && has("p"))
	switch {
	case t != TypeTime && !day:
		return "it leaves the day open"
	case t != TypeDate && !hour:
		return "it leaves the hour open"
	case t == TypeTime && has("YymdbBjaA"):
		return "a time has no day"
	case t == TypeDate && has("HIMSfpz"):
		return "a date has no time"
	}
	return ""
}

// directives lists a format's, in order.
func directives(format string) (list []byte, message string) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if i++; i == len(format) {
			return nil, "it ends with %"
		}
		if strings.IndexByte(Directives, format[i]) < 0 {
			return nil, fmt.Sprintf("there is no %%%c here", format[i])
		}
		list = append(list, format[i])
	}
	return list, ""
}

// parseMoment reads text by a format of strptime. Like Python it takes numbers with or without a leading zero.
func parseMoment(format, text string) (value, bool) {
	p := moment{year: 1900, month: 1, day: 1}
	rest := text
	for i := 0; i < len(format); i++ {
		var ok bool
		switch {
		case format[i] != '%':
			rest, ok = strings.CutPrefix(rest, format[i:i+1])
		default:
			i++
			rest, ok = p.read(format[i], rest)
		}
		if !ok {
			return value{}, false
		}
	}
	if rest != "" {
		return value{}, false
	}
	return p.value()
}

// moment is what the directives of a format have given so far.
type moment struct {
	year, month, day, dayOfYear       int
	hour, minute, second, nano, shift int // shift from UTC, in seconds
	twelve, afternoon                 bool
}

// read takes one directive off the front of text.
func (m *moment) read(directive byte, text string) (rest string, ok bool) {
	switch directive {
	case 'Y':
		return number(text, 4, 4, 0, 9999, &m.year)
	case 'y':
		rest, ok = number(text, 2, 2, 0, 99, &m.year)
		if m.year += 1900; m.year < 1969 { // as POSIX has it
			m.year += 100
		}
		return rest, ok
	case 'm':
		return number(text, 1, 2, 1, 12, &m.month)
	case 'd':
		return number(text, 1, 2, 1, 31, &m.day)
	case 'j':
		return number(text, 1, 3, 1, 366, &m.dayOfYear)
	case 'H':
		return number(text, 1, 2, 0, 23, &m.hour)
	case 'I':
		m.twelve = true
		return number(text, 1, 2, 1, 12, &m.hour)
	case 'M':
		return number(text, 1, 2, 0, 59, &m.minute)
	case 'S':
		return number(text, 1, 2, 0, 61, &m.second)
	case 'f':
		rest, ok = number(text, 1, 6, 0, 999999, &m.nano)
		for i := len(text) - len(rest); i < 9; i++ {
			m.nano *= 10
		}
		return rest, ok
	default:
		return m.word(directive, text)
	}
}

// word takes a directive that is not a number.
func (m *moment) word(directive byte, text string) (rest string, ok bool) {
	var skipped int
	switch directive {
	case 'p':
		rest, ok = oneOf(text, 0, func(i int) string { return []string{"AM", "PM"}[i] }, 2, &skipped)
		m.afternoon = skipped == 1
		return rest, ok
	case 'b', 'B':
		rest, ok = oneOf(text, width(directive == 'b'), func(i int) string { return time.Month(i + 1).String() }, 12, &m.month)
		m.month++
		return rest, ok
	case 'a', 'A':
		return oneOf(text, width(directive == 'a'), func(i int) string { return time.Weekday(i).String() }, 7, &skipped)
	case 'z':
		for _, layout := range []string{"Z07:00:00", "Z07:00", "Z0700", "Z070000"} {
			for length := len(text); length > 0; length-- {
				if at, err := time.Parse(layout, text[:length]); err == nil {
					_, m.shift = at.Zone()
					return text[length:], true
				}
			}
		}
		return text, false
	default: // a percent sign
		return strings.CutPrefix(text, "%")
	}
}

func width(short bool) int {
	if short {
		return 3
	}
	return 0
}

// oneOf takes the longest of n words, whatever its case, cut to a width if there is one.
func oneOf(text string, width int, word func(int) string, n int, to *int) (string, bool) {
	found := -1
	length := 0
	for i := range n {
		w := word(i)
		if width > 0 {
			w = w[:width]
		}
		if len(text) >= len(w) && strings.EqualFold(text[:len(w)], w) && len(w) > length {
			found, length = i, len(w)
		}
	}
	if found < 0 {
		return text, false
	}
	*to = found
	return text[length:], true
}

// number takes as many digits off the front of text as there may be.
func number(text string, least, most, from, to int, result *int) (rest string, ok bool) {
	n, digits := 0, 0
	for digits < most && digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		n = n*10 + int(text[digits]-'0')
		digits++
	}
	*result = n
	return text[digits:], digits >= least && n >= from && n <= to
}

func (m *moment) value() (value, bool) {
	if m.twelve {
		m.hour %= 12
		if m.afternoon {
			m.hour += 12
		}
	}
	if m.dayOfYear > 0 {
		m.month, m.day = 1, m.dayOfYear
	}
	at := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, m.nano, time.FixedZone("", m.shift))
	ok := m.dayOfYear > 0 || at.Day() == m.day // day 366 of a year of 365 is the next year's first, as in Python
	return value{moment: at}, ok && m.second < 60
}
