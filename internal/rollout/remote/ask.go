package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// program is the agent's, in its image.
const program = "meteragent"

// Exit codes of the agent.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

// ask has the agent's program run one of its commands, in whichever of the two containers runs. What it refused is an
// ErrRefused in its own words.
func (t *Target) ask(ctx context.Context, stdin io.Reader, line func(string), command string, args ...string) (engine.Output, error) {
	agent, err := t.agent(ctx)
	if err != nil {
		return engine.Output{}, err
	}
	call := []string{"exec"}
	if stdin != nil {
		call = append(call, "--interactive")
	}
	call = append(call, agent, program)
	call = append(call, strings.Fields(command)...)
	call = slices.Concat(call, []string{"-state", t.StateDir()}, args)
	out, err := t.start(ctx, stdin, line, call...)
	if err != nil {
		return out, err
	}
	switch {
	case out.ExitCode == exitDone:
		return out, nil
	case dockersOwn(out):
		return out, t.failure("exec", out)
	case out.ExitCode == exitRefused:
		return out, fmt.Errorf("%s: %w: %s", command, ErrRefused, lastWords(out))
	case out.ExitCode == exitUsage:
		return out, fmt.Errorf("%s: the agent did not understand it: %s", command, lastWords(out))
	default:
		return out, fmt.Errorf("%s: exit code %d: %s", command, out.ExitCode, lastWords(out))
	}
}

// dockersOwn tells what docker says of itself from what the program in the container says.
func dockersOwn(out engine.Output) bool {
	words := string(out.Stderr)
	return out.ExitCode >= 125 || strings.Contains(words, "Error response from daemon") || strings.Contains(words, "Cannot connect to the Docker daemon") ||
		strings.Contains(words, "error during connect")
}

// agent is the name of a container in which the program can be started.
func (t *Target) agent(ctx context.Context) (string, error) {
	text, err := t.run(ctx, nil, "ps", "--filter", "label=meter.agent="+t.Environment, "--filter", "status=running", "--format", "{{.Names}}")
	if err != nil {
		return "", err
	}
	running := strings.Fields(text)
	for _, name := range t.agents() {
		if slices.Contains(running, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("speak with %s: %w: `mage deploy:%s` puts one there", t.Environment, ErrNoAgent, t.Environment)
}

// Order hands an order over and returns its ID. ErrRefused: a roll-out is under way, or another order waits.
func (t *Target) Order(ctx context.Context, o wire.Order) (string, error) {
	o.Schema = wire.Schema
	content, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("order: %w", err)
	}
	out, err := t.ask(ctx, bytes.NewReader(content), nil, "order")
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(out.Stdout))
	if !wire.ValidID(id) {
		return "", fmt.Errorf("order: the agent answered %q, which is no order's ID", lastWords(out))
	}
	return id, nil
}

// Status is what is true on the target now.
func (t *Target) Status(ctx context.Context) (wire.Status, error) {
	out, err := t.ask(ctx, nil, nil, "status", "-json")
	if err != nil {
		return wire.Status{}, err
	}
	return wire.DecodeStatus(bytes.NewReader(out.Stdout))
}

// Request asks the roll-out under way to abort, pause, resume or promote. It returns what the agent said.
func (t *Target) Request(ctx context.Context, action rollout.Action, actor, reason string) (string, error) {
	out, err := t.ask(ctx, nil, nil, string(action), "-actor", actor, "-reason", reason)
	return strings.TrimSpace(string(out.Stdout)), err
}

// History is what was deployed, the newest first.
func (t *Target) History(ctx context.Context, most int) ([]wire.Deployment, error) {
	out, err := t.ask(ctx, nil, nil, "history", "-json", "-n", strconv.Itoa(most))
	if err != nil {
		return nil, err
	}
	var all []wire.Deployment
	lines := bufio.NewScanner(bytes.NewReader(out.Stdout))
	lines.Buffer(nil, len(out.Stdout)+1)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var d wire.Deployment
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("history: read what the agent said: %w", err)
		}
		all = append(all, d)
	}
	return all, lines.Err()
}

// Verify checks the chain of the audit log, against an anchor that was kept elsewhere if there is one. ErrRefused: it is
// damaged, and the text says where.
func (t *Target) Verify(ctx context.Context, anchor string) (string, error) {
	var args []string
	if anchor != "" {
		args = []string{"-anchor", anchor}
	}
	out, err := t.ask(ctx, nil, nil, "verify", args...)
	return strings.TrimSpace(string(out.Stdout)), err
}

// Head is the last entry of the audit log, HASH:N, to be kept elsewhere.
func (t *Target) Head(ctx context.Context) (string, error) {
	out, err := t.ask(ctx, nil, nil, "head")
	if err != nil {
		return "", err
	}
	head := strings.TrimSpace(string(out.Stdout))
	if head == "" || strings.ContainsAny(head, " \n") {
		return "", errors.New("head: the agent did not say HASH:N")
	}
	return head, nil
}

// Smoke has the agent ask all parts together, as a user of them would. ErrRefused: some part gave a wrong answer, or none.
func (t *Target) Smoke(ctx context.Context, log func(format string, args ...any)) error {
	_, err := t.ask(ctx, nil, func(line string) { log("%s", line) }, "smoke", "-environment", t.Environment, "-project", t.Project())
	return err
}
