// Package load asks a service the same questions all the time, at a constant rate, and keeps of each request when it was
// sent and what came of it. The trials of deploys put it on a proxy while releases change behind it: a request that
// fails can so be placed on the time line of the roll-out.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	// Patience is how long an answer may take; one that takes longer has failed.
	Patience = 5 * time.Second
	// mostWaiting bounds the requests that wait for an answer at once, and so the connections: the engine's own proxy in
	// front of a published port ends when it has more than its files, and takes the port with it.
	mostWaiting = 400
)

// A Question is the body of a POST, and what judges its answer.
type Question struct {
	Body  []byte
	Right func(answer []byte) error
}

// Options say who is asked what, and how often.
type Options struct {
	URL       string
	Questions []Question
	Rate      int    // requests a second, whether they are answered or not
	Release   string // header of the answer that tells which release it came from; it may be empty
}

// A Shot is one request.
type Shot struct {
	At    time.Time     `json:"at"`
	Took  time.Duration `json:"took"`
	Code  int           `json:"code"` // 0: no answer
	From  string        `json:"from,omitempty"`
	Fault string        `json:"fault,omitempty"` // why it failed: empty if it was answered rightly
}

// A Load is under way until Stop.
type Load struct {
	options  Options
	attacker *vegeta.Attacker
	ended    chan struct{}
	shots    []Shot // whole when ended is closed
	behind   time.Duration
}

// Start begins to ask. Connections are kept and used again.
func Start(ctx context.Context, o Options) (*Load, error) {
	if len(o.Questions) < 2 || o.Rate < 1 {
		return nil, fmt.Errorf("start load: %d questions at %d a second: give at least two and one", len(o.Questions), o.Rate)
	}
	l := &Load{
		options: o, ended: make(chan struct{}),
		attacker: vegeta.NewAttacker(vegeta.Client(client()), vegeta.MaxWorkers(mostWaiting)),
	}
	results := l.attacker.Attack(l.targets(), vegeta.ConstantPacer{Freq: o.Rate, Per: time.Second}, 0, "")
	stop := context.AfterFunc(ctx, func() { l.attacker.Stop() })
	go func() {
		defer close(l.ended)
		defer stop()
		l.collect(results)
	}()
	return l, nil
}

// client keeps connections and uses them again, but none that was idle for nearly as long as the proxy keeps one (30 s): a
// POST that is sent just as the other end closes gets no answer, and no client may send it again by itself.
func client() *http.Client {
	return &http.Client{
		Timeout: Patience,
		Transport: &http.Transport{
			MaxIdleConns: mostWaiting, MaxIdleConnsPerHost: mostWaiting, MaxConnsPerHost: mostWaiting, IdleConnTimeout: 10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// targets number their questions in the fragment of the address, which is not sent. They are asked at random: a proxy that
// deals in turn would give each server the same few, if they came in turn.
func (l *Load) targets() vegeta.Targeter {
	return func(t *vegeta.Target) error {
		n := rand.IntN(len(l.options.Questions)) //nolint:gosec // no secret
		t.Method, t.URL, t.Body = http.MethodPost, l.options.URL+"#"+strconv.Itoa(n), l.options.Questions[n].Body
		t.Header = http.Header{"Content-Type": {"application/json"}}
		return nil
	}
}

func (l *Load) collect(results <-chan *vegeta.Result) {
	var first *vegeta.Result
	for r := range results {
		if first == nil {
			first = r
		}
		planned := first.Timestamp.Add(time.Duration(int64(r.Seq)-int64(first.Seq)) * time.Second / time.Duration(l.options.Rate)) //nolint:gosec // it counts requests
		l.behind = max(l.behind, r.Timestamp.Sub(planned))
		l.shots = append(l.shots, l.shot(r))
	}
	slices.SortFunc(l.shots, func(a, b Shot) int { return a.At.Compare(b.At) })
}

func (l *Load) shot(r *vegeta.Result) Shot {
	s := Shot{At: r.Timestamp, Took: r.Latency, Code: int(r.Code), From: r.Headers.Get(l.options.Release)}
	switch {
	case r.Code == 0 && r.Latency >= Patience:
		s.Fault = fmt.Sprintf("no answer within %s", Patience)
	case r.Code == 0:
		parts := strings.Split(r.Error, ": ")
		s.Fault = "no answer (" + plain.Line(parts[len(parts)-1]) + ")"
	case r.Code != http.StatusOK:
		s.Fault = fmt.Sprintf("%d %s", r.Code, http.StatusText(int(r.Code)))
	default:
		if err := l.judge(r); err != nil {
			s.Fault = "200 " + plain.Line(err.Error())
		}
	}
	return s
}

func (l *Load) judge(r *vegeta.Result) error {
	_, number, _ := strings.Cut(r.URL, "#")
	n, err := strconv.Atoi(number)
	if err != nil || n >= len(l.options.Questions) {
		return errors.New("to a question that nobody asked")
	}
	return l.options.Questions[n].Right(r.Body)
}

// Stop ends the asking, waits for the answers that are still due, and returns all that was asked, in the order of time.
func (l *Load) Stop() Shots {
	l.attacker.Stop()
	<-l.ended
	return l.shots
}

// Behind is how late a request was at most, by the plan; to be asked after Stop. A generator that is late sends no
// fewer requests, but in bursts.
func (l *Load) Behind() time.Duration { return l.behind }
