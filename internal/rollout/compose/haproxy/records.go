package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrGap says that a part of what was asked for is not known, and never will be.
var ErrGap = errors.New("the log has a gap")

// mostRecords are kept: half an hour at 1000 requests a second, in 40 MB.
const mostRecords = 1_800_000

// records are the lines, as small as can be.
type records struct {
	since   time.Time // nothing from before is known; zero: nothing is
	base    int64     // lines with lower numbers may have gone to another
	next    int64     // number of the next line
	began   bool      // which is known
	last    time.Time // when the last one was logged
	gaps    []gap
	process time.Time // when the proxy began; zero: not asked yet
	dropped int64     // lines that it says it dropped
	asked   time.Time // when it said so
	all     []record
	servers []string // by index + 1; 0 is none
}

type record struct {
	at        int64 // microseconds
	took      int32 // microseconds; -1: no answer
	server    uint8
	failed    bool
	synthetic bool
}

// A gap is between two lines that are known.
type gap struct {
	from, to time.Time
	why      string
}

func newRecords() records { return records{} }

func (r *records) add(l Line) {
	switch {
	case !r.began && l.Number > r.base && !r.since.IsZero():
		r.gaps = append(r.gaps, gap{r.since, l.At, fmt.Sprintf("line %d came first, and not line %d", l.Number, r.base)})
	case r.began && l.Number != r.next:
		why := fmt.Sprintf("line %d came after line %d", l.Number, r.next-1)
		if l.Number < r.next {
			why = fmt.Sprintf("the proxy was restarted after line %d", r.next-1)
		}
		r.gaps = append(r.gaps, gap{r.last, l.At, why})
	}
	r.began, r.next, r.last = true, l.Number+1, l.At
	took := int32(-1)
	if l.Took >= 0 {
		took = int32(min(l.Took, 30*time.Minute) / time.Microsecond) // which are 1.8e9
	}
	r.all = append(r.all, record{at: l.At.UnixMicro(), took: took, server: r.index(l.Server), failed: l.Failed(), synthetic: l.Synthetic})
	if len(r.all) > mostRecords+mostRecords/8 {
		r.all = slices.Clone(r.all[len(r.all)-mostRecords:])
		r.since = time.UnixMicro(r.all[0].at + 1)
		r.gaps = slices.DeleteFunc(r.gaps, func(g gap) bool { return g.to.Before(r.since) })
	}
}

// compare notes a gap where the proxy is another one than before, or says that it dropped lines: no line may ever come
// that shows it.
func (r *records) compare(s State) {
	why := ""
	switch {
	case r.process.IsZero():
		r.since, r.base = time.Now(), s.Answered
	case !s.Began.Equal(r.process):
		why = "the proxy was restarted"
		// It says in which second it began, which may be that of the last line of the one before; that one's lines have
		// higher numbers, too.
		if r.last.Before(s.Began) || r.next > s.Answered {
			r.began, r.next = true, 0 // whose lines are all yet to come
		}
	case s.Dropped > r.dropped:
		why = fmt.Sprintf("the proxy dropped %d lines", s.Dropped-r.dropped)
	}
	if why != "" {
		r.gaps = append(r.gaps, gap{r.asked, time.Now(), why})
	}
	r.process, r.dropped, r.asked = s.Began, s.Dropped, time.Now()
}

// complete reports whether all is here that was answered by then.
func (r *records) complete(s State) bool {
	return r.next >= s.Answered || !r.began && r.base >= s.Answered
}

func (r *records) index(server string) uint8 {
	if server == "" {
		return 0
	}
	i := slices.Index(r.servers, server)
	if i < 0 && len(r.servers) < 254 {
		i, r.servers = len(r.servers), append(r.servers, server)
	}
	return uint8(i + 1) //nolint:gosec // below 256, see above
}

// An Interval is what the proxy did in a time.
type Interval struct {
	Servers   map[string]*Counts
	Unserved  int64 // requests that no server got: bad ones, and all where no server is up
	Failed    int64 // of these, those that are not the client's fault
	Synthetic int64 // of all
}

// Counts are of one server.
type Counts struct {
	Requests, Errors int64
	Seconds          []float64 // until the answer began, of all that were answered
}

func (r *records) between(from, to time.Time) (Interval, error) {
	if r.since.IsZero() || from.Before(r.since) {
		return Interval{}, fmt.Errorf("read log of the proxy: %w: it is known from %s on, not from %s", ErrGap, stamp(r.since), stamp(from))
	}
	for _, g := range r.gaps {
		if !g.from.After(to) && !g.to.Before(from) {
			return Interval{}, fmt.Errorf("read log of the proxy: %w before %s: %s", ErrGap, stamp(g.to), g.why)
		}
	}
	in := Interval{Servers: map[string]*Counts{}}
	begin, end := from.UnixMicro(), to.UnixMicro()
	// They are nearly in their order: the newest last.
	for i := len(r.all) - 1; i >= 0 && r.all[i].at >= begin; i-- {
		if r.all[i].at < end {
			in.add(r.all[i], r.servers)
		}
	}
	return in, nil
}

func (in *Interval) add(e record, servers []string) {
	if e.synthetic {
		in.Synthetic++
	}
	if e.server == 0 {
		in.Unserved++
		if e.failed {
			in.Failed++
		}
		return
	}
	name := servers[e.server-1]
	c := in.Servers[name]
	if c == nil {
		c = &Counts{}
		in.Servers[name] = c
	}
	c.Requests++
	if e.failed {
		c.Errors++
	}
	if e.took >= 0 {
		c.Seconds = append(c.Seconds, float64(e.took)/1e6)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("15:04:05.000")
}
