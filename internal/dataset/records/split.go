package records

import "bytes"

// A splitter finds where records end in a stream of pieces of any length.
type splitter struct {
	*grammar
	state uint8
}

// feed goes over the next piece and returns the place behind the last record end in it, or 0 if there is none. With
// first, it stops behind the first one.
func (s *splitter) feed(piece []byte, first bool) int {
	end := 0
	for i := 0; i < len(piece); {
		if s.state == inQuoted && s.escape == 0 {
			if i += s.quotes(piece[i:]); i == len(piece) {
				break
			}
		}
		if run := s.run(piece[i:]); run > 0 {
			at := s.over(piece[i:i+run], first)
			if at > 0 {
				end = i + at
				if first {
					return end
				}
			}
			i += run
			continue
		}
		s.state = s.next[s.state][piece[i]]
		i++
		if s.state&recordEnd != 0 {
			s.state &^= recordEnd
			if end = i; first {
				return end
			}
		}
	}
	return end
}

// quotes returns how many bytes come before the quote that closes a cell behind which no other begins at once. It is a
// short cut through the rows of files that quote every cell.
func (s *splitter) quotes(piece []byte) int {
	for i := 0; ; {
		at := bytes.IndexByte(piece[i:], s.quote)
		if at < 0 {
			return len(piece)
		}
		i += at
		if i+2 >= len(piece) || piece[i+1] != s.delimiter || piece[i+2] != s.quote {
			return i
		}
		i += 3
	}
}

// run returns how many bytes come before the next one that leads into or out of quotes or an escape; 0 if the next byte
// has to be looked at by itself.
func (s *splitter) run(piece []byte) int {
	switch s.state {
	case atQuote, inEscape, inQuotedEscape:
		return 0
	}
	if s.escape != 0 {
		// One of the two may be far away when the other is everywhere, and would be looked for again and again.
		piece = piece[:min(len(piece), 256)]
	}
	run := len(piece)
	if s.quote != 0 {
		if i := bytes.IndexByte(piece, s.quote); i >= 0 {
			run = i
		}
	}
	if s.escape != 0 {
		if i := bytes.IndexByte(piece[:run], s.escape); i >= 0 {
			run = i
		}
	}
	return run
}

// over goes over bytes without a quote or an escape, as next would one by one.
func (s *splitter) over(run []byte, first bool) int {
	if s.state == inQuoted {
		return 0
	}
	find := bytes.LastIndexByte
	if first {
		find = bytes.IndexByte
	}
	end := find(run, '\n') + 1
	if end > 0 {
		s.state = atLine
		if first {
			return end
		}
	}
	tail := run[end:]
	if s.state == inComment || len(tail) == 0 {
		return end
	}
	if s.state == atLine && s.comment != 0 && tail[0] == s.comment {
		s.state = inComment
		return end
	}
	text := tail
	if s.skip {
		text = bytes.TrimRight(tail, " ")
	}
	switch {
	case len(text) > 0 && text[len(text)-1] == s.delimiter:
		s.state = atCell
	case len(text) > 0:
		s.state = inPlain
	case s.state == atLine: // nothing but spaces that don't count
		s.state = atCell
	}
	return end
}
