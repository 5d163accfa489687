package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// containerState is what the engine says of a container.
type containerState struct {
	Status     string
	Running    bool
	OOMKilled  bool
	ExitCode   int
	StartedAt  time.Time
	FinishedAt time.Time
	Health     *containerHealth
}

type containerHealth struct {
	Status string
	Log    []struct {
		End      time.Time
		ExitCode int
		Output   string
	}
}

// last is what the health check said last.
func (h containerHealth) last() string {
	if len(h.Log) == 0 {
		return "nothing, it did not run yet"
	}
	last := h.Log[len(h.Log)-1]
	return fmt.Sprintf("exit code %d, %s", last.ExitCode, python.Shorten(plain.Line(strings.TrimSpace(last.Output)), 200))
}

// tookToBeHealthy goes by the engine's clock, from the start to the end of the first check that was passed; it never is
// longer than what was seen from here.
func (s containerState) tookToBeHealthy(seen time.Duration) time.Duration {
	for _, check := range s.Health.Log {
		if took := check.End.Sub(s.StartedAt); check.ExitCode == 0 && took > 0 {
			return min(took, seen+startBudget)
		}
	}
	return seen
}

// inspect reads one part of what the engine knows of the container.
func (t *trial) inspect(ctx context.Context, part string, into any) error {
	out, err := t.docker.run(ctx, "container", "inspect", "--format", "{{json "+part+"}}", t.container)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out.Stdout, into); err != nil {
		return fmt.Errorf("read what the engine says of the container: %w", err)
	}
	return nil
}

func (t *trial) state(ctx context.Context) (containerState, error) {
	var state containerState
	return state, t.inspect(ctx, ".State", &state)
}

// address is where the container's port is reached from outside.
func (t *trial) address(ctx context.Context) (string, error) {
	var ports map[string][]struct{ HostIp, HostPort string } //nolint:revive // the engine's own names
	if err := t.inspect(ctx, ".NetworkSettings.Ports", &ports); err != nil {
		return "", err
	}
	for _, binding := range ports[fmt.Sprintf("%d/tcp", t.image.config.Smoke.Port)] {
		if binding.HostPort != "" {
			return "http://127.0.0.1:" + binding.HostPort, nil
		}
	}
	return "", errors.New("the engine published no port of the container")
}

// answers asks the container from outside what its users would ask.
func (t *trial) answers(ctx context.Context) error {
	address, err := t.address(ctx)
	if err != nil {
		return err
	}
	smoke := t.image.config.Smoke
	if err := t.ask(ctx, http.MethodGet, address, smoke.Path, ""); err != nil {
		return err
	}
	if path, body, ok := request(smoke); ok {
		return t.ask(ctx, http.MethodPost, address, path, body)
	}
	return nil
}

// ask wants 200. No proxy of this machine and no redirect is between it and the container.
func (t *trial) ask(ctx context.Context, method, address, path, body string) error {
	limited, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, method, address+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the container: %w", err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.find(ctx, "smoke-no-answer", fmt.Sprintf("%s %s is not answered: %v", method, path, err), "let the server listen on 0.0.0.0, at image.images[].smoke.port")
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 500)) // it is only quoted
	t.docker.scope.Log("%s %s of %s: %s, %q", method, path, t.image.Name, answer.Status, text)
	if answer.StatusCode != http.StatusOK {
		t.find(ctx, "smoke-answer", fmt.Sprintf("%s %s is answered with %d, not 200: %s", method, path, answer.StatusCode,
			python.Shorten(plain.Line(string(text)), 200)), "see its log for why")
	}
	return nil
}
