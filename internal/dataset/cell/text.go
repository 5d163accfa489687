package cell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// compileText returns the check of what is held as text; nil lets everything through.
func compileText(f contract.Field) (func([]byte) bool, error) {
	switch f.Type {
	case contract.TypeAny:
		return nil, nil //nolint:nilnil // no check is what lets everything through
	case contract.TypeString:
		return compileString(f)
	case contract.TypeDuration:
		return isDuration, nil
	case contract.TypeObject:
		return func(b []byte) bool { return isJSON(b, '{') }, nil
	case contract.TypeArray:
		return func(b []byte) bool { return isJSON(b, '[') }, nil
	case contract.TypeGeojson:
		return compileGeojson(f)
	case contract.TypeGeopoint:
		return compileGeopoint(f)
	default:
		return nil, fmt.Errorf("field %q: unknown type %q", f.Name, f.Type)
	}
}

func compileString(f contract.Field) (func([]byte) bool, error) {
	switch f.Format {
	case "", "default":
		return nil, nil //nolint:nilnil // no check is what lets everything through
	case "email":
		return compileEmail(), nil
	case "uri":
		return compileURI(), nil
	case "uuid":
		return isUUID, nil
	case "binary":
		return isBase64, nil
	}
	return nil, fmt.Errorf("field %q: unknown format %q: use default, email, uri, binary or uuid", f.Name, f.Format)
}

// The patterns are compiled with the parser, since the package holds no state.

// compileEmail follows the package validators: a local part of atoms or a quoted string, and a host name with a dot.
func compileEmail() func([]byte) bool {
	const letters = "a-zA-Z0-9!#$%&'*+/=?^_`{|}~\\-\u00a0-\u024f"
	local := regexp.MustCompile(`^(?:[` + letters + `]+(?:\.[` + letters + `]+)*|"(?:[^"\\\t\n\r\x00 ]|\\[\t.])*")$`)
	host := regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z]$`)
	return func(b []byte) bool {
		at := bytes.IndexByte(b, '@')
		if at < 1 || at > 64 || len(b)-at-1 > 253 {
			return false
		}
		return local.Match(b[:at]) && host.Match(b[at+1:])
	}
}

// compileURI follows RFC 3986: a scheme, and nothing after it that needs an escape.
func compileURI() func([]byte) bool {
	const char = `(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})`
	const authority = `(?:(?:[a-zA-Z0-9._~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*@)?` +
		`(?:\[[0-9a-fA-Fv:.%a-zA-Z_~!$&'()*+,;=-]+\]|(?:[a-zA-Z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})*)(?::[0-9]{0,5})?`
	uri := regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:` +
		`(?://` + authority + `(?:/` + char + `*)*|/?(?:` + char + `+(?:/` + char + `*)*)?)` +
		`(?:\?(?:` + char + `|[/?])*)?(?:#(?:` + char + `|[/?])*)?$`)
	return uri.Match
}

// isUUID takes what Python's uuid.UUID takes: 32 hexadecimal digits, dashes anywhere, in braces or as a URN.
func isUUID(b []byte) bool {
	b = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte("urn:")), []byte("uuid:"))
	n := 0
	for i, c := range b {
		switch {
		case c-'0' <= 9, 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			n++
		case c == '-':
		case c == '{' && i == 0, c == '}' && i == len(b)-1:
		default:
			return false
		}
	}
	return n == 32
}

// isBase64 takes what Python's base64.b64decode takes: it leaves out every character that is not of the alphabet, and
// wants groups of four, the last one padded.
func isBase64(b []byte) bool {
	group, pads := 0, 0
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c-'0' <= 9, c == '+', c == '/':
			pads = 0
			group = (group + 1) % 4
		case c == '=':
			pads++
			if group >= 2 && group+pads >= 4 {
				return true
			}
		case c >= 0x80: // Python refuses text that is not ASCII
			return false
		}
	}
	return group == 0
}

// isJSON says whether b is one JSON value that starts with open.
func isJSON(b []byte, open byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == open && json.Valid(b)
}

// isDuration reads [+-]PnYnMnWnDTnHnMnS with at least one part, and one after a T. Each may have a fraction.
func isDuration(b []byte) bool {
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	if len(b) < 3 || b[0] != 'P' {
		return false
	}
	b = b[1:]
	units, clock := "YMWD", false
	for len(b) > 0 {
		if b[0] == 'T' && !clock {
			units, clock, b = "HMS", true, b[1:]
		}
		var ok bool
		if b, units, ok = durationPart(b, units); !ok {
			return false
		}
	}
	return true
}

// durationPart reads one number and its unit, and leaves the units that may follow it.
func durationPart(b []byte, units string) (rest []byte, left string, ok bool) {
	whole, b := splitDigits(b)
	if len(whole) == 0 {
		return nil, "", false
	}
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		var fraction []byte
		if fraction, b = splitDigits(b[1:]); len(fraction) == 0 {
			return nil, "", false
		}
	}
	if len(b) == 0 {
		return nil, "", false
	}
	for i := range len(units) {
		if units[i] == b[0] {
			return b[1:], units[i+1:], true
		}
	}
	return nil, "", false
}
