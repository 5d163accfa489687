package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func questions() []Question {
	var all []Question
	for n := range 10 {
		want := fmt.Sprint(2 * n)
		all = append(all, Question{Body: []byte(fmt.Sprint(n)), Right: func(answer []byte) error {
			if string(answer) != want {
				return errors.New("wrong answer")
			}
			return nil
		}})
	}
	return all
}

// Each kind of failure is seen, at the time at which it was sent, and a server that is right has none.
func TestLoadSees(t *testing.T) {
	var mode, count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var n int
		if err := json.Unmarshal(body, &n); err != nil || r.Method != http.MethodPost || r.URL.Fragment != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Release", "v1")
		hit := count.Add(1)%10 == 0
		switch {
		case hit && mode.Load() == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case hit && mode.Load() == 2:
			_, _ = fmt.Fprint(w, 2*n+1)
		case hit && mode.Load() == 3:
			connection, _, _ := w.(http.Hijacker).Hijack()
			_ = connection.Close()
		case hit && mode.Load() == 4:
			w.Header().Set("Content-Length", "100")
			_, _ = fmt.Fprint(w, 2*n)
			connection, _, _ := w.(http.Hijacker).Hijack()
			_ = connection.(*net.TCPConn).Close()
		default:
			_, _ = fmt.Fprint(w, 2*n)
		}
	}))
	defer server.Close()
	for m, want := range []string{"", "503 Service Unavailable", "200 wrong answer", "no answer (EOF)", "no answer (unexpected EOF)"} {
		mode.Store(int64(m))
		l, err := Start(t.Context(), Options{URL: server.URL + "/predict", Questions: questions(), Rate: 300, Release: "X-Release"})
		if err != nil {
			t.Fatal(err)
		}
		for begun, until := count.Load(), time.Now().Add(time.Minute); count.Load() < begun+150 && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
		shots := l.Stop()
		failed := shots.Failed()
		if len(shots) < 100 || (m == 0) != (len(failed) == 0) || m > 0 && (len(failed) < len(shots)/12 || len(failed) > len(shots)/8) {
			t.Fatalf("%d of %d failed: %s", len(failed), len(shots), shots.Faults())
		}
		for _, shot := range failed {
			if !strings.HasPrefix(shot.Fault, want) {
				t.Errorf("%q, not %q", shot.Fault, want)
			}
		}
		if m == 0 {
			last, ok := shots.Last("v1")
			if !ok || last.At != shots[len(shots)-1].At || shots.Took(0.5) <= 0 || shots.Took(0.5) > shots.Took(1) {
				t.Errorf("%+v, %v", last, shots.Took(0.5))
			}
			middle := shots[len(shots)/2].At
			if n := len(shots.Within(middle, last.At)); n != len(shots)-1-len(shots)/2 {
				t.Errorf("%d of %d are in the second half", n, len(shots))
			}
		}
	}
}

// A server that never answers fails every request, and delays none.
func TestLoadOfTheDead(t *testing.T) {
	l, err := Start(t.Context(), Options{URL: "http://127.0.0.1:1/predict", Questions: questions(), Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // a hundred, if the machine is not busy
	if shots := l.Stop(); len(shots) < 20 || len(shots.Failed()) != len(shots) || !strings.Contains(shots.Faults(), "no answer (connection refused)") {
		t.Errorf("%d: %s", len(shots), shots.Faults())
	}
}

func TestLoadOfNothing(t *testing.T) {
	if _, err := Start(t.Context(), Options{Rate: 1}); err == nil {
		t.Error("a load without questions")
	}
}
