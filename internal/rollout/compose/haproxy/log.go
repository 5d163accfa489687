package haproxy

import "time"

// A Line is one request that the proxy has answered, or given up.
type Line struct {
	Received  time.Time
	Process   int
	Number    int64 // of the line, in this process, from 0
	Server    string
	Status    int           // -1: none was sent
	End       string        // state at the end, two letters: -- is as it should be
	Total     time.Duration // from the first byte of the request to the last of the answer
	Response  time.Duration // until the server's headers were there; -1 without
	Retries   int
	Method    string
	Synthetic bool
}

// Failed reports whether the client got an answer with 500 or more, half of one, or none.
func (l Line) Failed() bool {
	return l.Status < 100 || l.Status >= 500 || l.End != "--" && l.End[0] != 'C'
}
