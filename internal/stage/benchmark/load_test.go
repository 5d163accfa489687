package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// strictServer refuses whatever is not a prediction's request, and answers as told.
type strictServer struct {
	t           *testing.T
	mu          sync.Mutex
	seen        map[string]int
	connections int
	answer      func(http.ResponseWriter, string)
}

func (s *strictServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" && r.Method == http.MethodGet {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/predict" || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != int64(len(body)) || !json.Valid(body) {
		s.t.Errorf("%s %s %v %q, %v", r.Method, r.URL, r.Header, body, err)
	}
	s.mu.Lock()
	s.seen[string(body)]++
	s.mu.Unlock()
	s.answer(w, string(body))
}

func echo(w http.ResponseWriter, body string) { _, _ = io.WriteString(w, body) }

func serve(t *testing.T, answer func(http.ResponseWriter, string)) (*strictServer, string) {
	t.Helper()
	s := &strictServer{t: t, seen: map[string]int{}, answer: answer}
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return s, server.URL + "/predict"
}

func TestAttack(t *testing.T) {
	s, url := serve(t, echo)
	bodies := [][]byte{[]byte(`{"a":1}`), []byte(`{"a":2}`), []byte(`{"a":3}`)}
	a, err := attack(t.Context(), url, bodies, 200, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if a.sent != 60 || len(a.latencies) != a.sent || len(a.wrong) != 0 || len(a.bodies) != 3 {
		t.Errorf("%d sent, %d right, wrong %v, answers %v", a.sent, len(a.latencies), a.wrong, a.bodies)
	}
	for body, n := range s.seen {
		if n != a.sent/3 {
			t.Errorf("%s was sent %d of %d times", body, n, a.sent)
		}
	}
	if s.connections >= a.sent {
		t.Errorf("%d connections for %d requests: they were not used again", s.connections, a.sent)
	}
}

func TestWrongAnswers(t *testing.T) {
	count := 0
	var mu sync.Mutex
	nth := func() int { mu.Lock(); defer mu.Unlock(); count++; return count }
	for _, tc := range []struct {
		name   string
		answer func(http.ResponseWriter, string)
		want   string
	}{
		{"refused", func(w http.ResponseWriter, _ string) {
			http.Error(w, `{"detail": "no"}`, http.StatusUnprocessableEntity)
		}, ` × 422 {"detail": "no"}`},
		{"not ready at times", func(w http.ResponseWriter, body string) {
			if nth()%2 == 0 {
				http.Error(w, "no model", http.StatusServiceUnavailable)
				return
			}
			echo(w, body)
		}, " × 503 no model"},
		{"led elsewhere", func(w http.ResponseWriter, _ string) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}, " × 302"},
		{"cut off", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, " × no answer (EOF)"},
		{"always the same", func(w http.ResponseWriter, _ string) { echo(w, "1") }, "not all alike, got one and the same answer"},
		{"right", echo, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, url := serve(t, tc.answer)
			a, err := attack(t.Context(), url, [][]byte{[]byte("1"), []byte("2")}, 100, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			var all tally
			all.add(a)
			findings := all.findings("/predict")
			if tc.want == "" && len(findings) > 0 || tc.want != "" && (len(findings) != 1 || findings[0].Rule != "answer" || !strings.Contains(findings[0].Message, tc.want)) {
				t.Errorf("%+v, want %q", findings, tc.want)
			}
		})
	}
}

// What nobody waited for any longer took as long as it was waited for, at the least; what was refused took no time.
func TestDigest(t *testing.T) {
	begin := time.Unix(0, 0)
	result := func(seq uint64, at, latency time.Duration, code uint16, text string) vegeta.Result {
		return vegeta.Result{Seq: seq, Timestamp: begin.Add(at), Latency: latency, Code: code, Error: text, Body: []byte("x")}
	}
	results := []vegeta.Result{
		result(2, 25*time.Millisecond, 3*time.Millisecond, 200, ""),
		result(0, 0, time.Millisecond, 200, ""),
		result(1, 10*time.Millisecond, patience+1, 0, "Post: context deadline exceeded"),
		result(3, 30*time.Millisecond, time.Millisecond, 0, "Post \"http://127.0.0.1:1/\": dial tcp: connect: connection refused"),
	}
	a := digest(results, 100)
	if len(a.latencies) != 3 || a.latencies[0] != 0.001 || a.latencies[1] < 5 || a.latencies[2] != 0.003 {
		t.Errorf("latencies %v, in the order of the requests", a.latencies)
	}
	if a.wrong["no answer within 5s"] != 1 || a.wrong["no answer (connection refused)"] != 1 {
		t.Error(a.wrong)
	}
	if a.lateness < 0.004 || a.lateness > 0.005 {
		t.Errorf("lateness %v: one request was 5 ms late", a.lateness)
	}
}

func TestAttackEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, url := serve(t, func(w http.ResponseWriter, body string) { cancel(); echo(w, body) })
	if _, err := attack(ctx, url, [][]byte{[]byte("1")}, 100, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadBodies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bodies.json")
	for content, want := range map[string]string{
		"": "unexpected end", "{}": "cannot unmarshal object", "[": "unexpected end", "[]": "give two at least", `[{"a": 1}]`: "give two at least",
		`[{"a": 1}, {"a":1}]`: "1 different ones", `[{"a": 1}, {"a": 2}]`: "",
	} {
		lay(t, path, content)
		bodies, err := readBodies(path)
		if want == "" && (err != nil || string(bodies[1]) != `{"a":2}`) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v, want %q", content, bodies, err, want)
		}
	}
	if _, err := readBodies(path + "x"); err == nil {
		t.Error("no file")
	}
}

// loadBench is a project with a load on a server that run plays.
func loadBench(t *testing.T, run func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error)) *bench {
	t.Helper()
	b := newBench(t, func(ctx context.Context, i engine.Invocation) (engine.Output, error) {
		return run(ctx, i.Args[len(i.Args)-1], i)
	}, false)
	b.project.Benchmark.Measures = nil
	l := &b.project.Benchmark.Load
	l.Command, l.Env = []string{"python", "-m", "server", "--port", "{port}"}, map[string]string{"MODEL_DIR": "{models}"}
	l.Warmup, l.Duration, l.Start = config.Duration(50*time.Millisecond), config.Duration(100*time.Millisecond), config.Duration(20*time.Second)
	b.project.Benchmark.Servers = 2
	b.handOver(t, "sample")
	return b
}

// listen answers on the port until the context ends, as a server that is told to stop.
func listen(ctx context.Context, port string, handler http.Handler) (engine.Output, error) {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp4", "127.0.0.1:"+port)
	if err != nil {
		return engine.Output{}, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_ = server.Serve(listener)
	return engine.Output{}, context.Cause(ctx)
}

func TestServersAreJudged(t *testing.T) {
	ports := map[string]bool{}
	ended := 0
	b := loadBench(t, func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error) {
		ports[port] = true
		if !strings.Contains(strings.Join(i.Env, "\n")+"\n", "/sample/models\n") {
			t.Errorf("environment %v", i.Env)
		}
		defer func() { ended++ }()
		return listen(ctx, port, &strictServer{t: t, seen: map[string]int{}, answer: echo})
	})
	j, err := b.step(t, "api")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "requests in 2 servers on sample")
	if j.Unit != "requests" || j.Judged != 40 || len(j.Findings) != 0 || ended != 2 {
		t.Errorf("%d servers ended: %s", ended, text(j))
	}
}

func TestServerThatDoesNotComeUp(t *testing.T) {
	say := func(i engine.Invocation, lines ...string) {
		for _, line := range lines {
			i.Line(line)
		}
	}
	for _, tc := range []struct {
		name string
		run  func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error)
		want []string
	}{
		{"it ends", func(_ context.Context, _ string, i engine.Invocation) (engine.Output, error) {
			for n := range 15 {
				say(i, "line "+strconv.Itoa(n))
			}
			say(i, "ModuleNotFoundError: No module named 'api'")
			return engine.Output{ExitCode: 1}, nil
		}, []string{"the server did not come up: it ended with exit code 1; the end of its log:\nline 6\n", "No module named 'api'"}},
		{"it ends without a word", func(context.Context, string, engine.Invocation) (engine.Output, error) {
			return engine.Output{ExitCode: 3}, nil
		}, []string{"exit code 3; its log is empty"}},
		{"there is none", func(context.Context, string, engine.Invocation) (engine.Output, error) {
			return engine.Output{}, errors.New("find python: there is no such program")
		}, []string{"start the server: find python: there is no such program"}},
		{"it is never ready", func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error) {
			say(i, "loading")
			return listen(ctx, port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "no model yet", http.StatusServiceUnavailable)
			}))
		}, []string{"it was not ready after 200ms, its last answer was 503 Service Unavailable no model yet; the end of its log:\nloading"}},
		{"it does not answer", func(ctx context.Context, _ string, _ engine.Invocation) (engine.Output, error) {
			<-ctx.Done()
			return engine.Output{}, context.Cause(ctx)
		}, []string{"it was not ready after 200ms, it did not answer; its log is empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := loadBench(t, tc.run)
			if strings.Contains(strings.Join(tc.want, ""), "200ms") {
				b.project.Benchmark.Load.Start = config.Duration(200 * time.Millisecond)
			}
			j, err := b.step(t, "api")
			if err == nil {
				t.Fatalf("%+v", j)
			}
			demand(t, err.Error(), tc.want...)
		})
	}
}

func TestServerThatEndsUnderLoad(t *testing.T) {
	b := loadBench(t, func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error) {
		ctx, cancel := context.WithCancel(ctx)
		_, _ = listen(ctx, port, &strictServer{t: t, seen: map[string]int{}, answer: func(http.ResponseWriter, string) {
			cancel()
			panic(http.ErrAbortHandler)
		}})
		i.Line("MemoryError")
		return engine.Output{ExitCode: 137}, nil
	})
	if _, err := b.step(t, "api"); err == nil || !strings.Contains(err.Error(), "the server ended by itself, with exit code 137; the end of its log:\nMemoryError") {
		t.Error(err)
	}
}

func TestServerWithWrongAnswersFails(t *testing.T) {
	b := loadBench(t, func(ctx context.Context, port string, _ engine.Invocation) (engine.Output, error) {
		return listen(ctx, port, &strictServer{t: t, seen: map[string]int{}, answer: func(w http.ResponseWriter, _ string) { http.Error(w, "broken", http.StatusInternalServerError) }})
	})
	j, err := b.step(t, "api")
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Findings) != 1 || j.Judged <= 0 || !strings.Contains(j.Findings[0].Message, "to /predict were not answered with 200: ") || !strings.Contains(j.Findings[0].Message, "× 500 broken") {
		t.Error(text(j))
	}
}
