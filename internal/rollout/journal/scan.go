package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Problem is something in the log that the journal did not write so.
type Problem struct {
	Line int // of audit.jsonl, from 1
	What string
}

// String is for a person: line 7: …
func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.What) }

// start is the end of an empty log.
func start() end {
	return end{head: Anchor{Hash: strings.Repeat("0", 2*sha256.Size)}}
}

// pass moves behind an entry that takes so many bytes.
func (at *end) pass(e Entry, length int) {
	at.offset += int64(length)
	at.line++
	at.head = Anchor{e.Sequence, e.Hash}
	at.epoch = max(at.epoch, e.Epoch)
}

// follows says why the entry can't be the next one, if it can't.
func (at *end) follows(e Entry) error {
	switch want := at.head.Sequence + 1; {
	case e.Sequence != want:
		return fmt.Errorf("it is entry %d, and entry %d belongs here: something was cut out, put in or moved", e.Sequence, want)
	case e.Previous != at.head.Hash:
		return errors.New("it does not follow the entry before it: one of them was replaced")
	case e.Epoch < at.epoch:
		return fmt.Errorf("its epoch is %d, and there was %d before", e.Epoch, at.epoch)
	}
	return nil
}

// whole reports whether what stands behind the last line end is an entry that only lacks its own.
func (at *end) whole(tail []byte) (Entry, bool) {
	e, err := decode(tail)
	return e, err == nil && at.follows(e) == nil
}

// torn reports whether it is the beginning of the next entry, as a kill or, with zeros behind it, a crash leaves it. A
// whole entry with something behind it is not: its line end was overwritten.
func (at *end) torn(tail []byte) bool {
	tail = bytes.TrimRight(tail, "\x00")
	begin := fmt.Appendf(nil, `{"seq":%d,"prev":"%s","time":"`, at.head.Sequence+1, at.head.Hash)
	n := min(len(tail), len(begin))
	if !bytes.Equal(tail[:n], begin[:n]) {
		return false
	}
	for from := 0; ; from++ {
		next := bytes.Index(tail[from:], []byte(seal))
		if next < 0 {
			return true
		}
		from += next
		to := from + len(seal) + 2*sha256.Size + len(`"}`)
		if to < len(tail) {
			if _, err := decode(tail[:to]); err == nil {
				return false
			}
		}
	}
}

// A scanner reads lines from a place in the log on, and collects at most limit problems.
type scanner struct {
	at       end
	limit    int
	problems []Problem
}

// scan hands over each entry that can be read, and returns what stands behind the last line end. Lines are bounded,
// whatever the file holds.
func (s *scanner) scan(r io.Reader, each func(Entry) error) (tail []byte, err error) {
	lines := bufio.NewReaderSize(r, longestLine)
	for len(s.problems) < s.limit {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return bytes.Clone(line), nil
		case errors.Is(err, bufio.ErrBufferFull):
			length, err := skip(lines, len(line))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", LogFile, err)
			}
			s.report("it is longer than any entry")
			s.at.offset += length
			s.at.line++
			continue
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", LogFile, err)
		}
		if err := s.line(line, each); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *scanner) line(line []byte, each func(Entry) error) error {
	e, err := decode(line[:len(line)-1])
	if err != nil {
		s.report(err.Error())
		s.at.offset += int64(len(line))
		s.at.line++
		return nil
	}
	if err := s.at.follows(e); err != nil {
		s.report(err.Error())
	}
	s.at.pass(e, len(line)) // also after a problem, so that each is told once
	return each(e)
}

func (s *scanner) report(what string) {
	s.problems = append(s.problems, Problem{s.at.line + 1, what})
}

// skip reads on to the end of a line of which so much was read.
func skip(lines *bufio.Reader, read int) (length int64, err error) {
	length = int64(read)
	for {
		more, err := lines.ReadSlice('\n')
		length += int64(len(more))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return length, nil
		default:
			return length, err
		}
	}
}
