package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// running is what `docker ps` says where both agents run.
func running(times int) tooltest.Stub {
	return tooltest.Stub{
		Program: "docker", Args: []string{"ps", "label=meter.agent=trial", "status=running"}, Times: times,
		Output: engine.Output{Stdout: []byte("meter-trial-agent-2\nmeter-trial-agent-1\n")},
	}
}

func target(t *testing.T, stubs ...tooltest.Stub) (*remote.Target, *tooltest.Runner, *[]string) {
	t.Helper()
	runner := tooltest.New(t, stubs...)
	var log []string
	return remote.New(remote.Options{
		Runner: runner, Dir: t.TempDir(), Env: []string{"PATH=/bin"}, Environment: "trial", State: "/var/lib/meter-pipeline",
		Log: func(format string, _ ...any) { log = append(log, format) },
	}), runner, &log
}

func exec(command string, out engine.Output) tooltest.Stub {
	return tooltest.Stub{Program: "docker", Args: []string{"exec", "meter-trial-agent-1", command}, Output: out}
}

func TestSecretsGoOverStandardInputAlone(t *testing.T) {
	canary := "canary-" + t.Name()
	var read []byte
	to, runner, log := target(t, running(1), tooltest.Stub{
		Program: "docker", Args: []string{"exec", "--interactive", "meter-trial-agent-1", "meteragent", "put", "secrets"},
		Do: func(_ context.Context, i engine.Invocation) (engine.Output, error) {
			read, _ = io.ReadAll(i.Stdin)
			return engine.Output{}, nil
		},
	})
	secrets := wire.Secrets{"model-api": {UID: 10001, Values: map[string]string{"PASSWORD": canary}}}
	if err := to.PutSecrets(t.Context(), secrets); err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeSecrets(strings.NewReader(string(read)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(secrets, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, call := range runner.Calls() {
		if strings.Contains(strings.Join(append(call.Args, call.Env...), " "), canary) {
			t.Errorf("an argument or a variable holds the secret: %v", call.Args)
		}
	}
	if strings.Contains(strings.Join(*log, " "), canary) {
		t.Errorf("the log holds the secret")
	}
}

func TestWatchSurvivesALostConnection(t *testing.T) {
	line := func(e wire.Event) string {
		content, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(content) + "\n"
	}
	entry := func(n uint64) string { return line(wire.Event{Entry: &wire.Entry{Sequence: n, Kind: journal.Note}}) }
	alert := line(wire.Event{Alert: &wire.Alert{ID: "a", Name: "RolledBack"}})
	result := wire.Result{ID: "x", State: wire.Succeeded, Target: "v2", Ended: time.Unix(0, 0).UTC()}
	to, _, log := target(t, running(-1),
		exec("watch", engine.Output{ExitCode: 255, Stdout: []byte(entry(1) + alert + entry(2))}),
		exec("watch", engine.Output{ExitCode: 1, Stderr: []byte("Error response from daemon: container is not running")}),
		exec("watch", engine.Output{Stdout: []byte(entry(1) + alert + entry(2) + entry(3) + line(wire.Event{Result: &result}))}),
	)
	var seen []uint64
	alerts := 0
	got, err := to.Watch(t.Context(), "x", func(e wire.Event) {
		if e.Entry != nil {
			seen = append(seen, e.Entry.Sequence)
		}
		if e.Alert != nil {
			alerts++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3}, seen); diff != "" || alerts != 1 {
		t.Errorf("each entry comes once (-want +got):\n%s%d alerts", diff, alerts)
	}
	if len(*log) != 1 {
		t.Errorf("a connection that stays away is told of once, not %d times", len(*log))
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	leave := errors.New("Ctrl-C")
	to, _, _ := target(t, running(1), tooltest.Stub{
		Program: "docker", Args: []string{"exec", "watch"},
		Do: func(ctx context.Context, _ engine.Invocation) (engine.Output, error) {
			cancel(leave)
			<-ctx.Done()
			return engine.Output{}, context.Cause(ctx)
		},
	})
	if _, err := to.Watch(ctx, "x", nil); !errors.Is(err, leave) {
		t.Errorf("error is %v", err)
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name  string
		stubs []tooltest.Stub
		is    error
		want  string
	}{
		{
			"no engine",
			[]tooltest.Stub{{Program: "docker", Args: []string{"ps"}, Output: engine.Output{ExitCode: 1, Stderr: []byte("Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?")}}},
			remote.ErrUnreachable, "`docker info` must answer",
		},
		{"no agent", []tooltest.Stub{{Program: "docker", Args: []string{"ps"}}}, remote.ErrNoAgent, "`mage deploy:trial` puts one there"},
		{"idle", []tooltest.Stub{running(1), exec("abort", engine.Output{ExitCode: 1, Stderr: []byte("no roll-out is under way\n")})}, remote.ErrRefused, "no roll-out is under way"},
		{"other version", []tooltest.Stub{running(1), exec("abort", engine.Output{ExitCode: 2, Stderr: []byte("flag provided but not defined")})}, nil, "did not understand"},
		{"hostile words", []tooltest.Stub{running(1), exec("abort", engine.Output{ExitCode: 3, Stderr: []byte("a\x1b]0;title\x07b\nc")})}, nil, "exit code 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to, _, _ := target(t, tc.stubs...)
			_, err := to.Request(t.Context(), rollout.Abort, "somebody", "because")
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error is %v", err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\x07\n") {
				t.Errorf("the error holds control characters: %q", err)
			}
		})
	}
}

func TestContextLeadsToTheTarget(t *testing.T) {
	runner := tooltest.New(t, tooltest.Stub{Program: "docker", Args: []string{"--context", "far", "ps"}})
	to := remote.New(remote.Options{Runner: runner, Dir: t.TempDir(), Context: "far", Environment: "trial", State: "/var/lib/x"})
	if _, err := to.Status(t.Context()); !errors.Is(err, remote.ErrNoAgent) {
		t.Errorf("error is %v", err)
	}
}

func TestBundleIsAlwaysTheSame(t *testing.T) {
	b := remote.Bundle{"compose.yaml": []byte("services: {}\n"), "environment": []byte("A=b\n"), "settings.json": []byte("{}\n")}
	one, err := b.Tar()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, _ := b.Tar(); string(again) != string(one) {
			t.Fatal("the same content became another tar")
		}
	}
}

func TestPutBundleReadsBackWhatArrived(t *testing.T) {
	to, _, _ := target(t, running(1), exec("put", engine.Output{Stdout: []byte("sha256:" + strings.Repeat("0", 64) + "\n")}))
	if _, err := to.PutBundle(t.Context(), remote.Bundle{"a": []byte("b")}); err == nil || !strings.Contains(err.Error(), "was sent") {
		t.Errorf("error is %v", err)
	}
}
