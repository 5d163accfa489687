package pipeline_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/workflow/workflowtest"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// TestScripts runs the compiled targets over small projects, as a person would. The commands are:
//
//	pipeline CODE ARGS...   runs a target, and demands that exit code
//	interrupt CODE ARGS...  the same, but sends SIGINT as soon as the file `started` is there
//	gone MARK               demands that no process has MARK in its command line
//	requirements            copies the repository's locked requirements into the project
func TestScripts(t *testing.T) {
	repository := stagetest.Repository(t)
	binary := workflowtest.Compile(t, repository)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, key := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "METER_POSTGRES_BIN"} {
				if value, ok := os.LookupEnv(key); ok {
					env.Setenv(key, value)
				}
			}
			// The downloads and built tools of the person who runs the tests are used again.
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			for key, value := range map[string]string{
				"HOME": home, "CI": "true", "NO_COLOR": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
				"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
			} {
				env.Setenv(key, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pipeline":  func(ts *testscript.TestScript, _ bool, args []string) { runTarget(ts, binary, false, args) },
			"interrupt": func(ts *testscript.TestScript, _ bool, args []string) { runTarget(ts, binary, true, args) },
			"gone":      gone,
			"requirements": func(ts *testscript.TestScript, _ bool, _ []string) {
				for _, file := range []string{"requirements/dev.txt", "requirements/uv.txt"} {
					ts.Check(copyFile(filepath.Join(repository, file), ts.MkAbs(file)))
				}
			},
		},
	})
}

func runTarget(ts *testscript.TestScript, binary string, interrupt bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: pipeline CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(binary, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{
		"PATH", "HOME", "CI", "NO_COLOR", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
		"METER_POSTGRES_BIN", "METER_ADVISORIES", "DATABASE_URL", "SLACK_WEBHOOK_URL", "GIT_CONFIG_GLOBAL",
		"EVIDENCE_KEY", "EVIDENCE_PUBLIC_KEY", "GITHUB_OUTPUT",
	} {
		if value := ts.Getenv(key); value != "" {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ts.Check(cmd.Start())
	var pressed time.Time
	if interrupt {
		waitFor(ts, ts.MkAbs("started"))
		pressed = time.Now()
		ts.Check(cmd.Process.Signal(syscall.SIGINT))
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
		ts.Fatalf("run %v: %v", args[1:], err)
	}
	// Bounded, not measured: the promise is 5 s, and a busy machine gets as much again.
	if interrupt && time.Since(pressed) > 10*time.Second {
		ts.Fatalf("it took %s to end after SIGINT", time.Since(pressed))
	}
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), stdout.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), stderr.Bytes(), 0o644))
	ts.Logf("[stdout]\n%s[stderr]\n%s", stdout.String(), stderr.String())
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func waitFor(ts *testscript.TestScript, path string) {
	for range 1200 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear within two minutes", path)
}

// gone demands that no process has the mark in its command line.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, file := range commands {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), args[0]) {
			ts.Fatalf("still there: %s", strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy requirements: %w", err)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o644))
}
