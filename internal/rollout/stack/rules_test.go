package stack

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/tool/debtest"
)

// promtool runs Prometheus' own program in a directory.
func promtool(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	runner := tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: "promtool-" + time.Now().Format("150405.000000000"), Outer: os.Getenv(tool.RunVariable)})
	defer func() { _ = runner.Close() }()
	program, _ := debtest.Find(t, debtest.Program{Path: "usr/bin/promtool", Packages: []string{"prometheus"}})
	out, err := runner.Run(t.Context(), engine.Invocation{Program: program, Args: args, Dir: dir, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout) + string(out.Stderr), out.ExitCode
}

func rules(t *testing.T) (dir, content string) {
	t.Helper()
	dir = filepath.Join(stagetest.Repository(t), "docker", "prometheus")
	text, err := os.ReadFile(filepath.Join(dir, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(text)
}

// Prometheus takes the rules, and they say what their cases want.
func TestAlertRules(t *testing.T) {
	dir, _ := rules(t)
	if out, code := promtool(t, dir, "check", "rules", "alerts.yaml"); code != 0 {
		t.Errorf("check rules: %s", out)
	}
	if out, code := promtool(t, dir, "test", "rules", "alerts.test.yaml"); code != 0 {
		t.Errorf("test rules: %s", out)
	}
}

// Each alert has a case that fails without it.
func TestEveryAlertIsTested(t *testing.T) {
	dir, content := rules(t)
	tests, err := os.ReadFile(filepath.Join(dir, "alerts.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(content, -1)
	if len(alerts) < 10 {
		t.Fatalf("there are %d alerts", len(alerts))
	}
	for _, alert := range alerts {
		other := t.TempDir()
		without := strings.Replace(content, "alert: "+alert[1]+"\n", "alert: Another\n", 1)
		for name, text := range map[string]string{"alerts.yaml": without, "alerts.test.yaml": string(tests)} {
			if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, code := promtool(t, other, "test", "rules", "alerts.test.yaml"); code == 0 {
			t.Errorf("without %s all cases still pass: %s", alert[1], out)
		}
	}
}

// What the rules ask for, the agent writes.
func TestAlertsAskForWhatThereIs(t *testing.T) {
	_, content := rules(t)
	source, err := os.ReadFile(filepath.Join(stagetest.Repository(t), "internal", "rollout", "agent", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bmeter_deploy_\w+`).FindAllString(content, -1)
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatal("the rules ask for nothing")
	}
	for _, name := range slices.Compact(names) {
		if !strings.Contains(string(source), `"`+name+`"`) {
			t.Errorf("the agent writes no %s", name)
		}
	}
}
