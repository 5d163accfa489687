package difftest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// answer is what frictionless says of one file.
type answer struct {
	Valid   bool   `json:"valid"`
	Rows    int64  `json:"rows"`
	Failure string `json:"failure"`
	Errors  []struct {
		Type   string `json:"type"`
		Note   string `json:"note"`
		Row    int64  `json:"row"`
		Field  int    `json:"field"`
		Column string `json:"column"`
		Cell   string `json:"cell"`
	} `json:"errors"`
}

// rules are ours by frictionless' error types, where the names differ. A constraint-error has the constraint's name.
var rules = map[string]string{"unique-error": "unique", "source-error": "empty", "encoding-error": "encoding"}

var constraintNote = regexp.MustCompile(`^constraint "(\w+)" is `)

// entries are the answer's errors in the form that both sides have in common.
func (a answer) entries(t *testing.T) []entry {
	t.Helper()
	var all []entry
	for _, e := range a.Errors {
		found := entry{rule: e.Type, row: e.Row, field: e.Field, cell: e.Cell}
		if name, ok := rules[e.Type]; ok {
			found.rule = name
		}
		if e.Type == "constraint-error" {
			match := constraintNote.FindStringSubmatch(e.Note)
			if match == nil {
				t.Fatalf("the constraint in %q is not known", e.Note)
			}
			found.rule = match[1]
		}
		if e.Row == 0 && e.Field > 0 {
			found.row = 1 // labels: the header has no number there
		}
		all = append(all, found)
	}
	return all
}

// python is the interpreter with frictionless. Only on a person's machine may it be missing.
func python(t *testing.T) string {
	t.Helper()
	path := filepath.Join(stagetest.Repository(t), ".venv-peers", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("find frictionless: %v: run `mage setup` first", err)
		}
		t.Skipf("frictionless is not here: %v: run `mage setup` first", err)
	}
	return path
}

// frictionless judges all samples, in one process for each core, which judges one file after another.
func frictionless(t *testing.T, samples []sample) []answer {
	t.Helper()
	interpreter, dir := python(t), t.TempDir()
	worker, err := filepath.Abs(filepath.Join("testdata", "frictionless_worker.py"))
	if err != nil {
		t.Fatal(err)
	}
	runner := tool.NewRunner(tool.Options{State: filepath.Join(dir, ".pipeline"), Run: fmt.Sprintf("difftest-%d-%d", os.Getpid(), time.Now().UnixNano())})
	t.Cleanup(func() {
		if err := runner.Close(); err != nil {
			t.Errorf("close runner: %v", err)
		}
	})
	answers := make([]answer, len(samples))
	processes := min(runtime.GOMAXPROCS(0), 4)
	var group sync.WaitGroup
	for n := range processes {
		from, to := n*len(samples)/processes, (n+1)*len(samples)/processes
		group.Go(func() {
			requests, results := filepath.Join(dir, fmt.Sprint("requests", n)), filepath.Join(dir, fmt.Sprint("answers", n))
			if err := request(dir, requests, from, samples[from:to]); err != nil {
				t.Error(err)
				return
			}
			out, err := runner.Run(t.Context(), engine.Invocation{
				Program: interpreter, Args: []string{"-I", worker, requests, results}, Dir: dir,
				Env: []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + dir},
			})
			if err == nil && out.ExitCode != 0 {
				err = fmt.Errorf("exit code %d: %s", out.ExitCode, out.Stderr)
			}
			if err == nil {
				err = read(results, answers[from:to])
			}
			if err != nil {
				t.Errorf("run frictionless: %v", err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return answers
}

// request writes the samples' files, and a line for each.
func request(dir, path string, first int, samples []sample) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i, s := range samples {
		var descriptors []object
		for n, part := range append([]sample{s}, s.others...) {
			file := filepath.Join(dir, fmt.Sprintf("%d-%d.csv", first+i, n))
			if err := os.WriteFile(file, part.data, 0o600); err != nil {
				return err
			}
			complete := part.complete(file)
			complete["name"] = part.name
			if n == 0 {
				complete["name"] = "sample"
			}
			descriptors = append(descriptors, complete)
		}
		if err := encoder.Encode(object{"descriptors": descriptors}); err != nil {
			return err
		}
	}
	return os.WriteFile(path, lines.Bytes(), 0o600)
}

func read(path string, answers []answer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	n := 0
	for ; lines.Scan() && n < len(answers); n++ {
		if err := json.Unmarshal(lines.Bytes(), &answers[n]); err != nil {
			return err
		}
	}
	if n != len(answers) {
		return fmt.Errorf("%d answers to %d requests", n, len(answers))
	}
	return lines.Err()
}
