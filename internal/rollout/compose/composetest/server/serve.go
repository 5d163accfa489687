package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
)

// drain is how long requests that are open get when it is told to end.
const drain = 8 * time.Second

type server struct {
	knobs
	env     []string
	began   time.Time
	known   map[known.Request]bool
	metrics metrics

	mu   sync.Mutex
	kept [][]byte
}

func serve(ctx context.Context, k knobs, env []string) error {
	if k.crash {
		return errors.New("it crashes as it starts, as it was told to")
	}
	s := &server{knobs: k, env: env, began: time.Now(), known: map[known.Request]bool{}}
	for i := range known.Count {
		var r known.Request
		if err := json.Unmarshal(known.Body(i), &r); err != nil {
			return err
		}
		s.known[r] = true
	}
	if k.crashAfter > 0 {
		time.AfterFunc(k.crashAfter, func() { os.Exit(3) })
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", s.predict)
	mux.HandleFunc("GET /health/ready", s.ready)
	mux.HandleFunc("GET /health/live", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /version", s.version)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { s.metrics.write(w) })
	// As uvicorn here: it keeps idle connections for longer than the proxy does.
	web := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return web.Shutdown(limit)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	age := time.Since(s.began)
	if age < s.readyAfter || s.sickAfter >= 0 && age >= s.sickAfter {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (s *server) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]string{
		"git_sha": value(s.env, "GIT_SHA"), "image_digest": value(s.env, "IMAGE_DIGEST"),
		"model_version": "1", "high_consumption_model_version": "1",
	})
}

func (s *server) predict(w http.ResponseWriter, r *http.Request) {
	var body known.Request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil {
		http.Error(w, `{"detail":"not a request"}`, http.StatusUnprocessableEntity)
		return
	}
	if s.latency > 0 {
		time.Sleep(time.Duration(float64(s.latency) * (0.5 + rand.Float64())))
	}
	if s.leak > 0 {
		s.keep()
	}
	isKnown := s.known[body]
	if !isKnown && rand.Float64() < s.errors {
		http.Error(w, `{"detail":"it fails, as it was told to"}`, http.StatusInternalServerError)
		return
	}
	units, probability := known.Predict(body)
	moved := s.wrong
	if !isKnown {
		moved += s.shift
	}
	units, probability = units+moved, min(1, max(0, probability+moved/4))
	s.metrics.observe(units, probability)
	w.Header().Set("X-Release", value(s.env, "GIT_SHA"))
	answer(w, map[string]any{
		"units_kwh": units, "high_consumption_probability": probability,
		"model_version": "1", "high_consumption_model_version": "1",
	})
}

// keep takes memory and touches it, so that it is really taken.
func (s *server) keep() {
	block := make([]byte, s.leak)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, block)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Server", "trivial")
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}
