package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	registryContainer = "meter-rehearsal-registry"
	registryAnswers   = 30 * time.Second
	usersRate         = 50 // requests a second
)

// docker starts the client, and makes an error of any exit code but zero.
func (h *rehearsal) docker(ctx context.Context, args ...string) (string, error) {
	out, err := h.Runner.Run(ctx, engine.Invocation{Program: "docker", Args: args, Dir: h.Host.Dir, Env: unsigning(h.Host.Env), Line: func(string) {}})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("docker %s: exit code %d: %s", args[0], out.ExitCode, plain.Line(strings.TrimSpace(string(out.Stderr))))
	}
	return strings.TrimSpace(string(out.Stdout)), err
}

// startRegistry starts a registry on a free port of this machine. One that a killed rehearsal left is replaced.
func (h *rehearsal) startRegistry(ctx context.Context) (string, error) {
	if err := h.removeRegistry(ctx); err != nil {
		return "", fmt.Errorf("start a registry: %w: `docker info` must answer", err)
	}
	_, err := h.docker(ctx, "run", "--detach", "--name", registryContainer, "--publish", "127.0.0.1::5000", registryImage(h.Session))
	if err != nil {
		return "", fmt.Errorf("start a registry: %w: METER_REGISTRY names another one, METER_REGISTRY_IMAGE another image", err)
	}
	h.container = registryContainer
	host, err := h.docker(ctx, "port", registryContainer, "5000/tcp")
	if err != nil {
		return "", fmt.Errorf("start a registry: %w", err)
	}
	host, _, _ = strings.Cut(host, "\n")
	for until := h.Host.Now().Add(registryAnswers); ; {
		err := get(ctx, "http://"+host+"/v2/")
		if err == nil {
			return host, nil
		}
		if h.Host.Now().After(until) {
			return "", fmt.Errorf("start a registry: it does not answer: %w", err)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func (h *rehearsal) stopRegistry(ctx context.Context) error {
	if h.container == "" {
		return nil
	}
	return h.removeRegistry(ctx)
}

func (h *rehearsal) removeRegistry(ctx context.Context) error {
	_, err := h.docker(ctx, "rm", "--force", "--volumes", registryContainer)
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

// users ask an environment all the time, whatever becomes of it.
type users struct {
	cancel        context.CancelFunc
	ended         chan struct{}
	asked, failed atomic.Int64
}

// ask lets them begin: with the example of the API's documentation, which the image's own smoke test uses, too.
func (h *rehearsal) ask(ctx context.Context, environment string) *users {
	e := h.Project.Environments[environment]
	path, body := "", ""
	for _, image := range h.Project.Image.Images {
		if image.Name == h.Project.Deploy.Serves {
			path, body = image.Smoke.Request.Path, image.Smoke.Request.Body
		}
	}
	url := fmt.Sprintf("http://%s:%d%s", e.Publish, e.Ports.Proxy, path)
	ctx, cancel := context.WithCancel(ctx)
	u := &users{cancel: cancel, ended: make(chan struct{})}
	go u.run(ctx, url, []byte(body))
	return u
}

func (u *users) run(ctx context.Context, url string, body []byte) {
	defer close(u.ended)
	client := &http.Client{Timeout: 10 * time.Second}
	tick := time.NewTicker(time.Second / usersRate)
	defer tick.Stop()
	busy := make(chan struct{}, usersRate) // at once
	for {
		select {
		case <-ctx.Done():
			for range cap(busy) { // all answers are in
				busy <- struct{}{}
			}
			return
		case <-tick.C:
		}
		busy <- struct{}{}
		go func() {
			defer func() { <-busy }()
			u.asked.Add(1)
			if post(context.WithoutCancel(ctx), client, url, body) != nil { // what was asked is answered
				u.failed.Add(1)
			}
		}()
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// so adds to a text what users saw of it.
func (u *users) so(text string) string {
	return fmt.Sprintf("%s: users have asked %d times by now, and %d requests failed", text, u.asked.Load(), u.failed.Load())
}

// stop waits for the last answers.
func (u *users) stop() (asked, failed int64) {
	u.cancel()
	<-u.ended
	return u.asked.Load(), u.failed.Load()
}
