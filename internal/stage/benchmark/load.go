package benchmark

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	// patience is how long one answer may take; one that takes longer has failed.
	patience = 5 * time.Second
	// mostWaiting bounds the requests that wait for an answer at once.
	mostWaiting = 2000
	// late is how far the generator may be behind its own plan at the 95th percentile.
	late = 10 * time.Millisecond
)

// readBodies returns the bodies that a server gets in turn. They must differ: a server that answers one question from
// memory is not the one in service.
func readBodies(path string) ([][]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read request bodies: %w", err)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(content, &items); err != nil {
		return nil, fmt.Errorf("read request bodies: %w", err)
	}
	distinct := map[string]bool{}
	bodies := make([][]byte, len(items))
	for i, item := range items {
		var b bytes.Buffer
		if err := json.Compact(&b, item); err != nil {
			return nil, fmt.Errorf("read request bodies: %w", err)
		}
		bodies[i] = b.Bytes()
		distinct[b.String()] = true
	}
	if len(distinct) < 2 {
		return nil, fmt.Errorf("the request bodies are %d different ones: give two at least", len(distinct))
	}
	return bodies, nil
}

// answers are what a server said to a load.
type answers struct {
	latencies []float64      // seconds, of those that were right or that nobody waited for any longer, in the order sent
	sent      int            // requests
	wrong     map[string]int // by what came instead of 200
	bodies    map[string]bool
	lateness  float64 // seconds that the generator was behind, at the 95th percentile
}

// attack sends bodies at a rate for a time, whether they are answered or not ("open loop"): a slow answer delays no
// request, so none is missing where the server is slow. Connections are kept and used again. A latency is the time
// from the sending of a request, connecting included where it had to, to the last byte of its answer.
func attack(ctx context.Context, url string, bodies [][]byte, rate int, duration time.Duration) (answers, error) {
	attacker := vegeta.NewAttacker(vegeta.KeepAlive(true), vegeta.Timeout(patience), vegeta.MaxWorkers(mostWaiting),
		vegeta.Redirects(vegeta.NoFollow), vegeta.Proxy(direct))
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()
	var results []vegeta.Result
	pace := pacer{vegeta.ConstantPacer{Freq: rate, Per: time.Second}, uint64(float64(rate) * duration.Seconds())}
	for result := range attacker.Attack(targets(url, bodies), pace, 0, "") {
		results = append(results, *result)
	}
	if ctx.Err() != nil {
		return answers{}, context.Cause(ctx)
	}
	return digest(results, rate), nil
}

// pacer sends a number of requests instead of for a time, so that a late generator sends no fewer.
type pacer struct {
	vegeta.ConstantPacer

	requests uint64
}

func (p pacer) Pace(elapsed time.Duration, sent uint64) (time.Duration, bool) {
	if sent >= p.requests {
		return 0, true
	}
	return p.ConstantPacer.Pace(elapsed, sent)
}

func direct(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // no proxy, as http.Transport has it

func targets(url string, bodies [][]byte) vegeta.Targeter {
	var next atomic.Int64
	return func(t *vegeta.Target) error {
		t.Method, t.URL = http.MethodPost, url
		t.Body = bodies[int(next.Add(1)-1)%len(bodies)]
		t.Header = http.Header{"Content-Type": {"application/json"}}
		return nil
	}
}

// digest sorts out right and wrong answers.
func digest(results []vegeta.Result, rate int) answers {
	a := answers{sent: len(results), wrong: map[string]int{}, bodies: map[string]bool{}}
	slices.SortFunc(results, func(a, b vegeta.Result) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // it counts requests
	for _, r := range results {
		switch {
		case r.Code == http.StatusOK:
			a.latencies = append(a.latencies, r.Latency.Seconds())
			a.bodies[string(r.Body)] = true
		case r.Code == 0 && r.Latency >= patience:
			a.latencies = append(a.latencies, r.Latency.Seconds()) // it took that long at the least
			a.wrong[fmt.Sprintf("no answer within %s", patience)]++
		case r.Code == 0:
			a.wrong["no answer ("+lastPart(r.Error)+")"]++
		default:
			a.wrong[strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, python.Shorten(string(r.Body), 120)))]++
		}
	}
	a.lateness = lateness(results, rate)
	return a
}

// lastPart is what went wrong, without the address before it.
func lastPart(text string) string {
	parts := strings.Split(text, ": ")
	return python.Shorten(parts[len(parts)-1], 120)
}

// lateness is how far behind its appointed time a request was sent, at the 95th percentile. The plan begins where it
// makes the most punctual request punctual.
func lateness(results []vegeta.Result, rate int) float64 {
	if len(results) == 0 {
		return 0
	}
	behind := make([]float64, len(results))
	least := math.Inf(1)
	for i, r := range results {
		behind[i] = r.Timestamp.Sub(results[0].Timestamp).Seconds() - float64(r.Seq)/float64(rate)
		least = min(least, behind[i])
	}
	return quantile(behind, 0.95) - least
}

// tally is the answers of all servers.
type tally struct {
	sent     int
	wrong    map[string]int
	answers  map[string]bool
	lateness float64 // the worst
}

func (t *tally) add(a answers) {
	if t.wrong == nil {
		t.wrong, t.answers = map[string]int{}, map[string]bool{}
	}
	t.sent += a.sent
	t.lateness = max(t.lateness, a.lateness)
	for what, n := range a.wrong {
		t.wrong[what] += n
	}
	for body := range a.bodies {
		t.answers[body] = true
	}
}

// findings says what was not answered as it should be. A server that says the same to everybody shows nothing of the
// work that it is timed for.
func (t *tally) findings(path string) []engine.Finding {
	count := 0
	var kinds []string
	for _, what := range slices.Sorted(maps.Keys(t.wrong)) {
		count += t.wrong[what]
		kinds = append(kinds, fmt.Sprintf("%d × %s", t.wrong[what], what))
	}
	switch {
	case count > 0:
		return []engine.Finding{{
			Rule: "answer", Severity: engine.SeverityHigh,
			Message: fmt.Sprintf("%d of %s to %s were not answered with 200: %s", count, python.Count(t.sent, "request"), path, python.List(kinds, 4)),
			Help:    "see the server's log in the log of this step; a server that can't keep up with the rate answers ever later",
		}}
	case len(t.answers) == 1:
		return []engine.Finding{{
			Rule: "answer", Severity: engine.SeverityHigh,
			Message: fmt.Sprintf("%s to %s, not all alike, got one and the same answer", python.Count(t.sent, "request"), path),
			Help:    "see that the server works on what it is sent",
		}}
	}
	return nil
}

func (t *tally) warnings() []string {
	if t.lateness <= late.Seconds() {
		return nil
	}
	return []string{fmt.Sprintf("the load generator was up to %s late with one request in twenty: latencies may be of bursts", seconds(t.lateness))}
}
