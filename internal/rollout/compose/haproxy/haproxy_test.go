package haproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy/haproxytest"
)

// A server is one of two that answer on this machine.
type server struct {
	*httptest.Server
	posts, fails atomic.Int64
	failEach     int64         // every so many posts
	slow         time.Duration // each post
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
		n := s.posts.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(s.slow)
		if s.failEach > 0 && n%s.failEach == 0 {
			s.fails.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) address() string { return s.Listener.Addr().String() }

// A bench is a proxy before two servers.
type bench struct {
	*testing.T
	*haproxytest.Proxy
	blue, green *server
	client      *http.Client
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, blue: serve(t), green: serve(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	b.Proxy = haproxytest.Start(t,
		haproxy.Server{Name: "blue", Address: b.blue.address(), Weight: 100}, haproxy.Server{Name: "green", Address: b.green.address()})
	t.Cleanup(b.client.CloseIdleConnections)
	b.up()
	return b
}

// up waits until the proxy sees both servers.
func (b *bench) up() {
	b.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		s, err := b.Admin().State(b.Context())
		if err == nil && s.Servers["blue"].Up && s.Servers["green"].Up {
			return
		}
	}
	b.Fatal("the servers are not up at the proxy")
}

func (b *bench) weigh(blue, green int) {
	b.Helper()
	if err := b.Admin().SetWeights(b.Context(), map[string]int{"blue": blue, "green": green}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) listen() *haproxy.Log {
	b.Helper()
	log, err := haproxy.Listen(b.Context(), b.Proxy.Log, b.Admin())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	b.await(log)
	return log
}

// await waits until a log is known from now on.
func (b *bench) await(log *haproxy.Log) time.Time {
	b.Helper()
	var err error
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		from := time.Now()
		if _, err = log.Between(b.Context(), from, time.Now()); err == nil {
			return from
		}
	}
	b.Fatal(err)
	return time.Time{}
}

// post returns the status, and 0 if there was none.
func (b *bench) post(synthetic bool) int {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+b.Bind+"/predict", strings.NewReader(`{"load_kw": 1}`))
	if err != nil {
		b.Error(err)
		return 0
	}
	if synthetic {
		request.Header.Set("X-Meter-Synthetic", "1")
	}
	response, err := b.client.Do(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// load posts n requests, so many a second, and counts the answers by status.
func (b *bench) load(n int, rate float64) map[int]int {
	b.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[int]int{}
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for range n {
		<-tick.C
		all.Go(func() {
			status := b.post(false)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	all.Wait()
	return got
}

func TestWeightsActAtOnceAndExactly(t *testing.T) {
	b := start(t)
	for _, w := range [][2]int{{95, 5}, {75, 25}, {50, 50}, {0, 100}, {100, 0}} {
		began := time.Now()
		b.weigh(w[0], w[1])
		took := time.Since(began)
		blue, green := b.blue.posts.Load(), b.green.posts.Load()
		if got := b.load(400, 2000); got[200] != 400 {
			t.Errorf("at %v: %v", w, got)
		}
		blue, green = b.blue.posts.Load()-blue, b.green.posts.Load()-green
		t.Logf("blue %d, green %d of 400 at %v, which took %s to set", blue, green, w, took)
		if off := green - int64(w[1]*4); off < -3 || off > 3 {
			t.Errorf("at %v: green got %d of 400 requests, not %d", w, green, w[1]*4)
		}
	}
	b.weigh(0, 0)
	if got := b.post(false); got != http.StatusServiceUnavailable {
		t.Errorf("with no weight at all: status %d", got)
	}
	b.weigh(0, 100)
	if got := b.post(false); got != http.StatusOK {
		t.Errorf("with green's weight again: status %d", got)
	}
	err := b.Admin().SetWeights(t.Context(), map[string]int{"blue": 50, "red": 50})
	if err == nil || !strings.Contains(err.Error(), "No such server") {
		t.Errorf("weight of a server that is not there: %v", err)
	}
}

func TestLogIsExactUnderLoad(t *testing.T) {
	b := start(t)
	b.green.failEach, b.green.slow = 10, 20*time.Millisecond
	b.weigh(70, 30)
	log := b.listen()
	from := time.Now()
	if got := b.load(1500, 500); got[200]+got[500] != 1500 {
		t.Errorf("load: %v", got)
	}
	for range 5 {
		b.post(true)
	}
	to := time.Now()
	in, err := log.Between(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*server{"blue": b.blue, "green": b.green} {
		c := in.Servers[name]
		if c.Requests != s.posts.Load() || c.Errors != s.fails.Load() || int64(len(c.Seconds)) != c.Requests {
			t.Errorf("%s: %d requests, %d errors and %d times are in the log; it had %d and %d", name, c.Requests, c.Errors, len(c.Seconds), s.posts.Load(), s.fails.Load())
		}
		for _, v := range c.Seconds {
			if v < s.slow.Seconds() || v > 5 {
				t.Errorf("%s: a time of %g s", name, v)
				break
			}
		}
	}
	if in.Synthetic != 5 || in.Unserved != 0 {
		t.Errorf("%d synthetic, %d unserved", in.Synthetic, in.Unserved)
	}
	// What is cut in two adds up.
	middle := from.Add(to.Sub(from) / 2)
	total := int64(0)
	for _, part := range [][2]time.Time{{from, middle}, {middle, to}} {
		in, err := log.Between(t.Context(), part[0], part[1])
		if err != nil {
			t.Fatal(err)
		}
		total += in.Servers["blue"].Requests + in.Servers["green"].Requests
	}
	if total != 1505 {
		t.Errorf("two halves have %d requests", total)
	}
	if _, err := log.Between(t.Context(), from.Add(-time.Hour), to); err == nil {
		t.Error("what was before it listened is known, too")
	}
}

func TestWhatNoServerAnswersIsCounted(t *testing.T) {
	b := start(t)
	log := b.listen()
	from := time.Now()
	b.weigh(0, 0)
	b.post(false)
	// Requests that are none: they come in the log, and in the proxy's own count of what it answered.
	for _, text := range []string{"GARBAGE\r\n\r\n", "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab", "G E T / meter1 1 1 blue 200 -- - - 0 GET -\r\n\r\n", ""} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.Bind)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		time.Sleep(20 * time.Millisecond)
		_ = c.Close()
	}
	time.Sleep(50 * time.Millisecond)
	in, err := log.Between(t.Context(), from, time.Now())
	if err != nil || in.Unserved != 5 || in.Failed != 1 || len(in.Servers) != 0 {
		t.Errorf("%+v, %v", in, err) // failed: the one with 503
	}
}

func TestRestartedProxyHasTheWeightsOfItsFile(t *testing.T) {
	b := start(t)
	log := b.listen()
	b.weigh(50, 50)
	b.load(20, 200)
	b.Servers[0].Weight, b.Servers[1].Weight = 75, 25
	b.Write()
	before := time.Now()
	b.Kill()
	if _, err := log.Between(t.Context(), before, time.Now()); err == nil {
		t.Error("the log is known while there is no proxy")
	}
	b.Restart()
	b.up()
	s, err := b.Admin().State(t.Context())
	if err != nil || s.Servers["blue"].Weight != 75 || s.Servers["green"].Weight != 25 {
		t.Errorf("%v, %v", s, err)
	}
	b.load(20, 200)
	if _, err := log.Between(t.Context(), before, time.Now()); err == nil || !strings.Contains(err.Error(), "restarted") {
		t.Errorf("the time of a restart is known: %v", err)
	}
	from := b.await(log)
	b.load(40, 400)
	in, err := log.Between(t.Context(), from, time.Now())
	if err != nil || in.Servers["blue"].Requests != 30 || in.Servers["green"].Requests != 10 {
		t.Errorf("after a restart: %v, %v", in.Servers, err)
	}
}

func TestKilledServerCostsNoRequest(t *testing.T) {
	b := start(t)
	b.green.slow, b.blue.slow = 30*time.Millisecond, 5*time.Millisecond
	b.weigh(50, 50)
	log := b.listen()
	from := time.Now()
	killed := time.AfterFunc(700*time.Millisecond, func() {
		_ = b.green.Listener.Close()
		b.green.CloseClientConnections() // requests that it has are cut
	})
	defer killed.Stop()
	if got := b.load(1000, 500); got[200] != 1000 {
		t.Errorf("one server was killed under load: %v", got)
	}
	in, err := log.Between(t.Context(), from, time.Now())
	if err != nil || in.Servers["blue"].Requests+in.Servers["green"].Requests != 1000 || in.Servers["blue"].Errors+in.Servers["green"].Errors != 0 {
		t.Errorf("%v, %v", in, err)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // it is down in the end
		s, err := b.Admin().State(t.Context())
		if err != nil || time.Now().After(until) {
			t.Fatalf("%v, %v", s, err)
		}
		if !s.Servers["green"].Up {
			break
		}
	}
	t.Logf("%d posts reached blue, %d green; 1000 were sent", b.blue.posts.Load(), b.green.posts.Load())
}

// What clients give up on is brought to its end: its time tells that something is wrong.
func TestClientsThatGiveUpAreMeasured(t *testing.T) {
	b := start(t)
	b.green.slow, b.client.Timeout = 1500*time.Millisecond, 500*time.Millisecond
	b.weigh(50, 50)
	log := b.listen()
	from := time.Now()
	if got := b.load(40, 200); got[0] < 20 || got[0]+got[200] != 40 {
		t.Errorf("%v", got)
	}
	time.Sleep(1500 * time.Millisecond)
	in, err := log.Between(t.Context(), from, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]float64{"blue": 0, "green": 1.5} {
		if c := in.Servers[name]; c == nil || c.Requests != 20 || c.Errors != 0 || len(c.Seconds) != 20 || slices.Min(c.Seconds) < least {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestErrorIsNotAskedForAgain(t *testing.T) {
	b := start(t)
	b.green.failEach = 1
	b.weigh(0, 100)
	if got := b.load(20, 500); got[500] != 20 {
		t.Errorf("%v", got)
	}
	if b.blue.posts.Load() != 0 || b.green.posts.Load() != 20 {
		t.Errorf("blue had %d requests, green %d", b.blue.posts.Load(), b.green.posts.Load())
	}
}

func TestLogIsTakenOverFromOneThatSleeps(t *testing.T) {
	b := start(t)
	// One that was stopped by a signal holds its connection and reads nothing.
	sleeping, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", b.Proxy.Log)
	if err != nil {
		t.Fatal(err)
	}
	held, err := sleeping.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	b.load(10, 200)
	log := b.listen()
	from := time.Now()
	b.load(50, 500)
	if in, err := log.Between(t.Context(), from, time.Now()); err != nil || in.Servers["blue"].Requests != 50 {
		t.Errorf("%+v, %v", in, err)
	}
	// And back, without any line lost: the proxy keeps what nobody takes.
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	b.load(10, 200)
	again := b.listen()
	from = time.Now()
	b.load(10, 200)
	if in, err := again.Between(t.Context(), from, time.Now()); err != nil || in.Servers["blue"].Requests != 10 {
		t.Errorf("%+v, %v", in, err)
	}
}

// TestLostLineIsAnError stands in for a proxy whose lines get lost on the way: it sends them itself, beside a real one.
func TestLostLineIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		number int
		want   string
	}{
		{"a number is missing", 12, "line 12 came after line 9"},
		{"numbers begin anew", 3, "answered 10 requests, and logged 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t)
			log := b.listen()
			from := time.Now()
			b.load(10, 200)
			if _, err := log.Between(t.Context(), from, time.Now()); err != nil {
				t.Fatal(err)
			}
			b.send(line(c.number))
			if _, err := log.Between(t.Context(), from, time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the last is missing", func(t *testing.T) {
		b := start(t)
		overtaken := b.listen()
		from := time.Now()
		b.load(5, 100)
		b.listen()
		b.load(1, 100)
		if _, err := overtaken.Between(t.Context(), from, time.Now()); err == nil || !strings.Contains(err.Error(), "has answered 6 requests, and logged 5") {
			t.Errorf("%v", err)
		}
	})
}

func line(number int) string {
	now := time.Now().UnixMicro()
	return fmt.Sprintf("meter1 %d %d blue 200 -- %d %d 0 POST -", number, now, now-5, now)
}

func (b *bench) send(line string) {
	b.Helper()
	c, err := (&net.Dialer{}).DialContext(b.Context(), "unix", b.Proxy.Log)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "%d %s", len(line), line); err != nil {
		b.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
}

func TestHostileValuesAreRefused(t *testing.T) {
	t.Parallel()
	good := func() haproxy.Values {
		return haproxy.Values{
			Bind: ":8080", Socket: "/run/haproxy.sock", Log: "/run/log.sock", Resolver: "127.0.0.11:53",
			Servers: []haproxy.Server{
				{Name: "blue", Address: "model-api-blue:8000", At: "172.20.0.7", Weight: 95},
				{Name: "green", Address: "model-api-green:8000", Weight: 5},
			},
		}
	}
	text := haproxytest.Template(t)
	out, err := haproxy.Render(text, good())
	if err != nil || !strings.Contains(string(out), "server green model-api-green:8000 weight 1 resolvers engine") {
		t.Errorf("%s, %v", out, err)
	}
	if !strings.Contains(string(out), "init-addr 172.20.0.7,none") || strings.Count(string(out), "init-addr none") != 1 {
		t.Errorf("%s", out)
	}
	for name, spoil := range map[string]func(*haproxy.Values){
		"a line in an address":  func(v *haproxy.Values) { v.Servers[0].Address = "a:80\n  stats enable" },
		"a space in a name":     func(v *haproxy.Values) { v.Servers[0].Name = "blue x" },
		"a name for an address": func(v *haproxy.Values) { v.Servers[0].At = "libc" },
		"a zone in an address":  func(v *haproxy.Values) { v.Servers[0].At = "fe80::1%a b" },
		"no port":               func(v *haproxy.Values) { v.Servers[0].Address = "a" },
		"a name twice":          func(v *haproxy.Values) { v.Servers[0].Name = "green" },
		"weights up to 105":     func(v *haproxy.Values) { v.Servers[0].Weight = 100 },
		"a weight below 0":      func(v *haproxy.Values) { v.Servers[0].Weight, v.Servers[1].Weight = -1, 101 },
		"a relative path":       func(v *haproxy.Values) { v.Socket = "haproxy.sock" },
		"a long path":           func(v *haproxy.Values) { v.Log = "/" + strings.Repeat("a", 100) },
		"a comment in a path":   func(v *haproxy.Values) { v.Log = "/run/#log" },
		"a variable in a path":  func(v *haproxy.Values) { v.Log = "/run/${X}" },
		"a quote in an address": func(v *haproxy.Values) { v.Bind = `"a":1` },
		"no servers":            func(v *haproxy.Values) { v.Servers = nil },
	} {
		v := good()
		spoil(&v)
		if out, err := haproxy.Render(text, v); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	for _, text := range []string{"{{.Nothing}}", "{{", "{{index .Servers 7}}"} {
		if out, err := haproxy.Render(text, good()); err == nil {
			t.Errorf("template %q: %s", text, out)
		}
	}
}

func TestSilentProxyIsNotWaitedForLong(t *testing.T) {
	path := t.TempDir() + "/s"
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	began := time.Now()
	if _, err := (haproxy.Socket{Path: path, Timeout: 100 * time.Millisecond}).State(t.Context()); err == nil {
		t.Error("it has answered")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := (haproxy.Socket{Path: path}).State(ctx); err == nil {
		t.Error("it has answered")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
