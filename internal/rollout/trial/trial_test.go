package trial

import (
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
)

func TestOwner(t *testing.T) {
	for name, want := range map[string]string{
		"meter-trial-123-4": "123", "meter-trial-123-registry": "123", "meter-trial-123-4-proxy-1": "123", "meter-staging": "", "stack-registry": "",
		"meter-trial-x-4": "", "": "",
	} {
		if got := owner(name); got != want {
			t.Errorf("%q is of %q, not of %q", name, got, want)
		}
	}
}

func TestReadWeights(t *testing.T) {
	weights, err := readWeights("# pxname,svname,status,weight,act,\nmodel_api,blue,UP,3,1,\nmodel_api,green,UP,1,1,\n\n")
	if err != nil || weights[rollout.Blue] != 75 || weights[rollout.Green] != 25 {
		t.Error(weights, err)
	}
	if weights, err := readWeights("Unknown command\nfoo\n"); err == nil {
		t.Error(weights)
	}
}

func TestNamesOfTrialsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, trial := range All() {
		if seen[trial.ID()] || strings.Contains(trial.ID(), ",") {
			t.Errorf("%q can't be asked for", trial.ID())
		}
		seen[trial.ID()] = true
	}
}

// A failed request is placed behind the last thing that was done before it, and points are counted.
func TestTimeLine(t *testing.T) {
	began := time.Now()
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	c := course{began: began, shots: load.Shots{{At: at(1)}, {At: at(3), Fault: "503"}, {At: at(5), Fault: "503"}}}
	for i, action := range []string{"pull", "weights", "weights"} {
		c.entries = append(c.entries, journal.Entry{Time: at(2 * i), Kind: journal.Done, Action: action})
	}
	if got := c.where(c.shots[1]); got != "1000 ms after done of weights" {
		t.Error(got)
	}
	if err := c.spotless(3); err == nil || !strings.Contains(err.Error(), "2 of 3 requests failed: 2 × 503; the first 1000 ms after") {
		t.Error(err)
	}
	if err := (course{shots: c.shots[:1]}).spotless(2); err == nil {
		t.Error("one request is enough for two")
	}
	var told []string
	for _, e := range c.events() {
		told = append(told, e.What)
	}
	if got := strings.Join(told, "; "); got != "done of pull; done of weights; 1 requests fail: 1 × 503; done of weights; 1 requests fail: 1 × 503" {
		t.Error(got)
	}
	var names []string
	for _, p := range points(c.entries) {
		names = append(names, p.String())
	}
	if got := strings.Join(names, "; "); got != "done of pull; done of weights; done of weights 2" {
		t.Error(got)
	}
}

// Every spelling of a canary is found, and what holds none is not.
func TestHunt(t *testing.T) {
	canary := random()
	for how, spelled := range spellings(canary) {
		h := hunt{canaries: map[string]string{"PASSWORD": canary}}
		h.look("a log", []byte(strings.Repeat("x", 20_000)+spelled+"y"))
		if err := h.verdict(); err == nil || !strings.Contains(err.Error(), "PASSWORD, ") {
			t.Errorf("%s: %v", how, err)
		}
	}
	h := hunt{canaries: map[string]string{"PASSWORD": canary}}
	h.look("a log", []byte(strings.Repeat(canary[:20], 1000)))
	if err := h.verdict(); err != nil {
		t.Error(err)
	}
	if err := (&hunt{}).verdict(); err == nil {
		t.Error("nothing was looked at")
	}
}

func TestRightly(t *testing.T) {
	right := rightly(1.5, 0.25)
	for answer, ok := range map[string]bool{
		`{"units_kwh": 1.5, "high_consumption_probability": 0.25, "model_version": "1"}`: true,
		`{"units_kwh": 1.5000001, "high_consumption_probability": 0.25}`:                 false,
		`{"units_kwh": 1.5}`: false, `{"high_consumption_probability": 0.25}`: false, `{}`: false, ``: false, `null`: false,
	} {
		if err := right([]byte(answer)); (err == nil) != ok {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// What a test has printed that did not pass is shown; what the others have is not.
func TestReadTests(t *testing.T) {
	passed, failed, said := readTests(`{"Action":"output","Test":"TestA/pylint_7.9","Output":"fine\n"}
{"Action":"pass","Test":"TestA/pylint_7.9"}
{"Action":"run","Test":"TestA"}
not JSON
{"Action":"skip","Test":"TestB"}
{"Action":"output","Test":"TestC/x","Output":"a.go:7: wrong\n"}
{"Action":"fail","Test":"TestC/x"}
{"Action":"output","Output":"FAIL\n"}
{"Action":"pass"}
`)
	if strings.Join(passed, ";") != "pylint 7.9" || strings.Join(failed, ";") != "TestB;TestC/x" || said != "a.go:7: wrong\nFAIL\n" {
		t.Errorf("%q, %q, %q", passed, failed, said)
	}
}
