package records

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// judgeText notes bytes in front of the place being read that are no text, and looks for the next ones.
func (p *anyParser) judgeText() {
	if p.nul < p.at {
		p.problem(NUL, p.line, nulDetail)
		p.findNUL()
	}
	if p.invalid < p.at {
		if p.Counts[Encoding] < Kept {
			p.problem(Encoding, p.line, p.encodingDetail())
		} else {
			p.Counts[Encoding]++
		}
		p.findInvalid()
	}
}

func (p *anyParser) encodingDetail() string {
	if p.offset < 0 {
		return "this is no text in " + p.encoding + ": save the file in it, or declare its true encoding"
	}
	return fmt.Sprintf("byte 0x%02x at offset %d is not utf-8: save the file as utf-8, or declare its true encoding",
		p.Data[p.invalid], p.offset+int64(p.invalid))
}

func (p *anyParser) findNUL() {
	p.nul = len(p.Data)
	if i := bytes.IndexByte(p.Data[p.at:], 0); i >= 0 {
		p.nul = p.at + i
	}
}

// findInvalid begins behind a byte of ASCII, so no character is cut.
func (p *anyParser) findInvalid() {
	at := p.at
	for at < len(p.Data) {
		if at+8 <= len(p.Data) && binary.LittleEndian.Uint64(p.Data[at:])&^lows == 0 {
			at += 8
			continue
		}
		r, size := utf8.DecodeRune(p.Data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	p.invalid = at
}
