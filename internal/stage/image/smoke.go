package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	lookAgain    = 200 * time.Millisecond // between two looks at a container
	mostPids     = 512                    // processes and threads that a container may have
	startBudget  = 30 * time.Second       // for the engine to make and start a container
	answerBudget = 10 * time.Second       // for one answer
)

// smokeStep starts a container of each image as it would run in service, and sees whether it works and ends well.
func (s *scanner) smokeStep() engine.Step {
	return s.step(smokeName, "containers of images: start, health, answers, end", []engine.Need{engine.NeedEngine}, s.smoke)
}

func (s *scanner) smoke(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "containers"}
	images, err := s.images(scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	d := docker{scope}
	if err := d.sweep(ctx); err != nil {
		return engine.Judgement{}, err
	}
	for n, image := range images {
		scope.Progress(n, len(images), image.Name)
		id, err := d.load(ctx, image)
		if err != nil {
			return engine.Judgement{}, err
		}
		trial := trial{docker: d, image: image, j: &j}
		if err := trial.run(ctx, id); err != nil {
			return engine.Judgement{}, fmt.Errorf("%s: %w", image.Name, err)
		}
		j.Judged++
	}
	return j, nil
}

// trial is one container on its way from start to end. What it does wrong are findings; an error is what says nothing
// about it, such as an engine that does not answer.
type trial struct {
	docker    docker
	image     built
	container string
	j         *engine.Judgement
}

func (t *trial) run(ctx context.Context, id string) (err error) {
	var args []string
	t.container, args = t.arguments(id)
	defer func() { err = errors.Join(err, t.docker.remove(ctx, t.container)) }()
	starting, cancel := context.WithTimeout(ctx, startBudget)
	out, err := t.docker.scope.Run(starting, engine.Invocation{Program: "docker", Args: args})
	cancel()
	if err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	if out.ExitCode != 0 {
		return t.notStarted(ctx, out)
	}
	healthy, err := t.awaitHealth(ctx)
	if err != nil || !healthy {
		return err
	}
	if err := t.answers(ctx); err != nil {
		return err
	}
	return t.end(ctx)
}

// arguments let the container do no more than it must: its root is read-only, it has no capability, and nobody but this
// machine reaches it.
func (t *trial) arguments(id string) (string, []string) {
	smoke := t.image.config.Smoke
	container, labels := t.docker.container(smokeName, t.image.Name)
	memory := strconv.Itoa(smoke.Memory) + "m"
	args := []string{
		"run", "--detach", "--pull", "never", "--name", container, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--memory", memory, "--memory-swap", memory, "--pids-limit", strconv.Itoa(mostPids),
		"--publish", fmt.Sprintf("127.0.0.1::%d", smoke.Port), "--restart", "no",
	}
	args = append(args, labels...)
	for _, dir := range smoke.Tmpfs {
		args = append(args, "--tmpfs", dir)
	}
	for _, key := range slices.Sorted(maps.Keys(smoke.Env)) {
		args = append(args, "--env", key+"="+smoke.Env[key])
	}
	return container, append(append(args, id), smoke.Command...)
}

// notStarted tells an image that can't be started from an engine that can't start any. Only the first is its fault: the
// engine has made the container then, and says that its program is the trouble.
func (t *trial) notStarted(ctx context.Context, out engine.Output) error {
	state, err := t.state(ctx)
	last := python.LastLine(out.Stderr, out.Stdout)
	if err != nil || state.Status != "created" || !slices.Contains([]int{126, 127}, state.ExitCode) {
		return fmt.Errorf("start container: exit code %d: %s", out.ExitCode, last)
	}
	t.find(ctx, "smoke-start", "its program can't be started: "+last, "correct ENTRYPOINT, CMD and the paths that they name")
	return nil
}

// awaitHealth polls until the engine calls the container healthy, by the image's own check, or the time is over.
func (t *trial) awaitHealth(ctx context.Context) (bool, error) {
	limit := t.image.config.Smoke.Healthy.Std()
	began := time.Now()
	for {
		state, err := t.state(ctx)
		if err != nil {
			return false, err
		}
		switch {
		case !state.Running:
			t.find(ctx, "smoke-exit", fmt.Sprintf("it ended with exit code %d before it was healthy%s", state.ExitCode, oom(state)),
				"see why it ended; it may write to its tmpfs directories only, and has no more memory than image.images[].smoke.memory")
			return false, nil
		case state.Health == nil:
			t.find(ctx, "smoke-no-health-check", "it has no health check, so nobody can tell whether it works", "add HEALTHCHECK to its Dockerfile")
			return false, nil
		case state.Health.Status == "healthy":
			t.measure("seconds_to_healthy", state.tookToBeHealthy(time.Since(began)), limit, "see the log for what it does before it listens")
			return true, nil
		}
		if time.Since(began) > limit {
			t.find(ctx, "smoke-not-healthy", fmt.Sprintf("it is %s after %s, and must be healthy by then; its health check says: %s",
				plain.Line(state.Health.Status), limit, state.Health.last()), "make it ready sooner, or correct its health check")
			return false, nil
		}
		if err := retry.Sleep(ctx, lookAgain); err != nil {
			return false, err
		}
	}
}

// end tells the container to stop, as a deploy would, and sees whether it does, in time and by itself.
func (t *trial) end(ctx context.Context) error {
	limit := t.image.config.Smoke.Stop.Std()
	began := time.Now()
	if _, err := t.docker.run(ctx, "kill", "--signal", "TERM", t.container); err != nil {
		return fmt.Errorf("tell container to stop: %w", err)
	}
	for {
		state, err := t.state(ctx)
		if err != nil {
			return err
		}
		if !state.Running {
			t.ended(ctx, state, began, limit)
			return nil
		}
		if time.Since(began) > limit {
			t.find(ctx, "smoke-ignores-sigterm", fmt.Sprintf("it still runs %s after SIGTERM", limit),
				"start the server in exec form, so that it gets the signal, and let it end what it does")
			return nil
		}
		if err := retry.Sleep(ctx, lookAgain/2); err != nil {
			return err
		}
	}
}

func (t *trial) ended(ctx context.Context, state containerState, began time.Time, limit time.Duration) {
	took := time.Since(began)
	if state.FinishedAt.After(began) {
		took = min(took, state.FinishedAt.Sub(began))
	}
	t.measure("seconds_to_stop", took, limit, "see what it waits for when it is told to stop")
	if state.ExitCode != 0 || state.OOMKilled {
		t.find(ctx, "smoke-exit-code", fmt.Sprintf("it ended with exit code %d after SIGTERM, not 0%s", state.ExitCode, oom(state)),
			"handle SIGTERM: finish the requests, then end with 0")
	}
}

func oom(state containerState) string {
	if state.OOMKilled {
		return ": it used more memory than it may have"
	}
	return ""
}

// find records what the container does wrong, with the end of its log.
func (t *trial) find(ctx context.Context, rule, message, help string) {
	t.j.Findings = append(t.j.Findings, engine.Finding{
		Rule: rule, Severity: engine.SeverityHigh, Path: t.image.config.Dockerfile,
		Message: fmt.Sprintf("image %s: %s; %s", t.image.Name, plain.Line(message), t.docker.lastLog(ctx, t.container)),
		Help:    help,
	})
}

func (t *trial) measure(what string, took, limit time.Duration, help string) {
	t.j.Metrics = append(t.j.Metrics, engine.Metric{
		Name: t.image.Name + "_" + what, Value: took.Seconds(), Unit: "s", Threshold: limit.Seconds(), Direction: engine.DirectionAtMost, Help: help,
	})
}

// body of the request that the image documents, if there is one.
func request(s config.Smoke) (path, body string, ok bool) {
	return s.Request.Path, strings.TrimSpace(s.Request.Body), cmp.Or(s.Request.Path, s.Request.Body) != ""
}
