package haproxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ring is the template's name of the buffer that keeps log lines until somebody takes them.
const ring = "agent"

// logFormat has a fixed number of fields, apart by one space; none can hold a space, whatever a client sends. They are
// the format, the number of the line, when it was logged, the server, the status, the state at the end, when the request
// came and when its answer began, how often it was tried again, the method, and whether it is synthetic. Times are in
// microseconds since 1970: the proxy's own are whole milliseconds, and of those a median of 3 differs from one of 4 by a
// third.
const logFormat = "meter1 %lc %[date(0,us)] %s %ST %ts %[var(txn.began)] %[var(txn.answered)] %rc %HM %[var(txn.synthetic)]"

// A Line is one request that the proxy has answered, or given up.
type Line struct {
	Number    int64 // of the line, in one process, from 0
	At        time.Time
	Server    string        // empty: none
	Status    int           // -1: none was sent
	End       string        // state at the end, two letters: -- is as it should be
	Took      time.Duration // until the answer began; -1: no server answered
	Retries   int
	Moved     bool // the last of them to the other server
	Method    string
	Synthetic bool
}

// Failed reports whether a whole request got an answer with 500 or more, half of one, or none: also if its client had
// waited long enough, but not if it left in the midst of its own words, or of the answer.
func (l Line) Failed() bool {
	cause, at := l.End[0], l.End[1]
	switch {
	case cause == 'S' || cause == 's' || l.Status >= 500:
		return true
	case cause == 'C' || cause == 'c':
		return at == 'Q' || at == 'C' || at == 'H' // it waited in the queue, for a connection, for the answer's headers
	default:
		return l.Status < 100
	}
}

// errOther is of a line that is about no request.
var errOther = errors.New("not a line about a request")

func parse(text string) (Line, error) {
	fields := strings.Split(text, " ")
	if fields[0] != "meter1" {
		return Line{}, errOther
	}
	if len(fields) != 11 || len(fields[5]) != 2 {
		return Line{}, fmt.Errorf("read log of the proxy: %q is not as it was configured", text)
	}
	var n numbers
	l := Line{
		Number: n.of(fields[1]), At: time.UnixMicro(n.of(fields[2])), Server: fields[3], Status: int(n.of(fields[4])), End: fields[5], Took: -1,
		Method: fields[9], Synthetic: fields[10] == "1",
	}
	if l.Server == "<NOSRV>" {
		l.Server = ""
	}
	if fields[6] != "-" && fields[7] != "-" {
		l.Took = time.Duration(n.of(fields[7])-n.of(fields[6])) * time.Microsecond
	}
	retries, moved := strings.CutPrefix(fields[8], "+")
	l.Retries, l.Moved = int(n.of(retries)), moved
	if n.err != nil {
		return Line{}, fmt.Errorf("read log of the proxy: %q: %w", text, n.err)
	}
	return l, nil
}

type numbers struct{ err error }

func (n *numbers) of(text string) int64 {
	v, err := strconv.ParseInt(text, 10, 64)
	n.err = errors.Join(n.err, err)
	return v
}
