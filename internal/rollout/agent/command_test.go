package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

// said is what a command wrote, and its exit code.
type said struct {
	out, err string
	code     int
}

// run runs a command on the state directory; args begin with its name.
func (s *site) run(in string, args ...string) said {
	s.Helper()
	words := 1
	if args[0] == "put" {
		words = 2
	}
	call := append(append(append([]string{}, args[:words]...), "-state", s.layout.Dir), args[words:]...)
	var out, complaints bytes.Buffer
	code := Main(s.Context(), Host{
		In: strings.NewReader(in), Out: &out, Err: &complaints, Now: time.Now, Name: "test", Build: "test 1",
		Target: func(string, string, string) func(context.Context) (Target, error) {
			return func(context.Context) (Target, error) {
				return struct {
					rollout.Backend
					compose.Listener
				}{s.world, listener{s}}, nil
			}
		},
	}, call)
	return said{out.String(), complaints.String(), code}
}

func (s *site) text(o wire.Order) string {
	s.Helper()
	o.Schema, o.Actor, o.Reason = wire.Schema, "ada", "as planned"
	content, err := json.Marshal(o)
	if err != nil {
		s.Fatal(err)
	}
	return string(content)
}

// From an order over the watching of it to the history, all through the commands.
func TestCommands(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		placed := s.run(s.text(wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.bundle), Gate: evidence("v2"), Committed: time.Now().Add(-time.Hour)}), "order")
		id := strings.TrimSpace(placed.out)
		if placed.code != exitDone || !wire.ValidID(id) {
			t.Fatalf("%+v", placed)
		}
		again := s.run(s.text(wire.Order{Kind: rollout.Back}), "order")
		if again.code != exitFailed || !strings.Contains(again.err, "one thing after the other: forward to v2") || !strings.Contains(again.err, "which ada asked for") {
			t.Errorf("%+v", again)
		}
		watched := s.run("", "watch", "-id", id)
		if watched.code != exitDone {
			t.Errorf("%+v", watched)
		}
		kinds, last := map[string]int{}, wire.Event{}
		for line := range strings.Lines(watched.out) {
			var e wire.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			switch last = e; {
			case e.Status != nil:
				kinds["status"]++
			case e.Entry != nil:
				kinds["entry"]++
			}
		}
		if kinds["status"] < 30 || kinds["entry"] < 20 || last.Result == nil || last.Result.State != wire.Succeeded || last.Result.Target != "v2" {
			t.Errorf("%v, %+v", kinds, last)
		}
		if again := s.run("", "watch", "-id", id); again.code != exitDone || strings.Count(again.out, "\n") < kinds["entry"] {
			t.Errorf("a watch of what has ended: %d", again.code)
		}
		for _, none := range []said{s.run("", "watch"), s.run("", "watch", "-id", "20200101T000000.000000000Z-0123abcd")} {
			if none.code != exitUnknown {
				t.Errorf("%+v", none)
			}
		}
		s.look(id)
		a.stop()
	})
}

func (s *site) look(id string) {
	s.Helper()
	if got := s.run("", "status", "-json"); got.code != exitDone || !strings.Contains(got.out, `"activity":"idle"`) {
		s.Errorf("%+v", got)
	}
	if got := s.run("", "status"); got.code != exitDone || !strings.Contains(got.out, "serves: v2 in green, sha256:") {
		s.Errorf("%+v", got)
	}
	var d wire.Deployment
	history := s.run("", "history", "-json", "-n", "1")
	if err := json.Unmarshal([]byte(history.out), &d); err != nil || history.code != exitDone {
		s.Fatalf("%+v, %v", history, err)
	}
	var phases []string
	total := 0.0
	for _, p := range d.Phases {
		phases = append(phases, p.Phase)
		total += p.Seconds
	}
	want := "gate pull migrate start smoke 5 % 100 % verify stop"
	if got := strings.Join(phases, " "); got != want || d.Release != "v2" || d.From != "v1" || d.State != wire.Succeeded || d.Order != id || d.Seconds-total > 2 {
		s.Errorf("%q, %+v", got, d)
	}
	if got := s.run("", "history"); got.code != exitDone || strings.Count(got.out, " done in ") != 2 || strings.Index(got.out, "v2") > strings.Index(got.out, "as planned") {
		s.Errorf("%+v", got)
	}
	if got := s.run("", "smoke"); got.code != exitDone {
		s.Errorf("%+v", got)
	}
	s.world.Behave("v2", rollouttest.Manner{VerifyFails: errors.New("no DAG \x1b[31mis loaded")})
	if got := s.run("", "smoke"); got.code != exitFailed || got.err != "meteragent smoke: no DAG is loaded\n" {
		s.Errorf("%+v", got)
	}
	s.world.Behave("v2", rollouttest.Manner{})
}

func TestRequestsByCommand(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		if got := s.run("", "abort", "-actor", "bob", "-reason", "no"); got.code != exitFailed || !strings.Contains(got.err, "no roll-out is under way") {
			t.Errorf("%+v", got)
		}
		id := s.order("v2")
		time.Sleep(10 * time.Second)
		if got := s.run("", "abort", "-actor", "bob"); got.code != exitUsage {
			t.Errorf("%+v", got)
		}
		if got := s.run("", "pause", "-actor", "bob", "-reason", "look at it"); got.code != exitDone {
			t.Errorf("%+v", got)
		}
		time.Sleep(2 * time.Minute)
		if status := s.status(); status.Roll == nil || !status.Roll.Paused || status.Roll.Window.Weight != 5 {
			t.Errorf("%+v", status.Roll)
		}
		if got := s.run("", "abort", "-actor", "bob", "-reason", "do not like it"); got.code != exitDone || !strings.Contains(got.out, "asked roll-") {
			t.Errorf("%+v", got)
		}
		if got := s.run("", "watch", "-id", id); got.code != exitFailed || !strings.HasSuffix(got.err, "rolled back: aborted by bob: do not like it\n") {
			t.Errorf("%+v", got.err)
		}
		if got := s.run("", "history", "-n", "1"); !strings.Contains(got.out, "ROLLED BACK after 13") || !strings.Contains(got.out, ": aborted by bob") {
			t.Errorf("%+v", got)
		}
		a.stop()
	})
}

func TestVerifyAndHead(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		head := strings.TrimSpace(s.run("", "head").out)
		a := s.serve("a", nil)
		s.wait(s.order("v2"))
		a.stop()
		if got := s.run("", "verify", "-anchor", head); got.code != exitDone || !strings.Contains(got.out, "the chain is whole and anchored, but for the last ") {
			t.Errorf("%+v", got)
		}
		if got := s.run("", "verify"); got.code != exitDone || !strings.Contains(got.out, "unanchored") {
			t.Errorf("%+v", got)
		}
		for _, wrong := range []string{"x", "12:", head + "x", strings.Repeat("0", 64) + ":0"} {
			if got := s.run("", "verify", "-anchor", wrong); got.code != exitUsage {
				t.Errorf("%q: %+v", wrong, got)
			}
		}
		if got := s.run("", "verify", "-anchor", strings.Repeat("0", 64)+":3"); got.code != exitFailed || !strings.Contains(got.out, "the log was written anew") {
			t.Errorf("%+v", got)
		}
		log := filepath.Join(s.layout.Dir, journal.LogFile)
		content, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, bytes.Replace(content, []byte("ada"), []byte("eve"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.run("", "verify"); got.code != exitFailed || !strings.Contains(got.out, "line 2: its content does not have the hash at its end") {
			t.Errorf("%+v", got)
		}
		if got := s.run("", "head"); got.code != exitFailed || got.out != "" {
			t.Errorf("%+v", got)
		}
		if got := s.run("", "history"); got.code != exitFailed || !strings.Contains(got.err, "the audit log is damaged") {
			t.Errorf("%+v", got)
		}
		if err := os.WriteFile(log, content, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUsage(t *testing.T) {
	s := newSite(t, t.TempDir())
	good := s.text(wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.bundle), Gate: evidence("v2")})
	orders := map[string]string{
		"":          "EOF",
		"{}":        "schema 0, not 1",
		good + "{}": "something follows",
		strings.Replace(good, `"actor"`, `"actress"`, 1):                     `unknown field "actress"`,
		strings.Replace(good, "ada", `a\nda`, 1):                             "control characters",
		strings.Replace(good, "ada", "", 1):                                  "it needs an actor and a reason",
		strings.Replace(good, "forward", "recovery", 1):                      `kind "recovery"`,
		strings.Replace(good, s.bundle, sum("gone"), 1):                      "is not on the target: put it there first",
		strings.Replace(good, "registry/mlflow@", "registry/mlflow:v2@x", 1): "is not repository@sha256:…",
		strings.Replace(good, `"slot":""`, `"slot":"blue"`, 1):               "has a slot",
		strings.Repeat(" ", wire.LongestOrder+1):                             "more than",
	}
	for text, want := range orders {
		if got := s.run(text, "order"); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%.60q: %+v, not %q", text, got, want)
		}
	}
	if got := s.run(good, "order"); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	if got := s.run(good, "order"); got.code != exitFailed || !strings.Contains(got.err, "forward to v2 waits (2") {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"status", "-x"}, {"status", "more"}, {"watch", "-id", "../x"}, {"serve"}} {
		if got := s.run("", args...); got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := s.run("", "status"); got.code != exitUnknown || !strings.Contains(got.err, "no agent has led here yet") {
		t.Errorf("%+v", got)
	}
	var out, complaints bytes.Buffer
	host := Host{Out: &out, Err: &complaints, Build: "test 1"}
	for code, args := range map[int][]string{exitUsage: {"deploy"}, exitDone: {"help"}} {
		complaints.Reset()
		if got := Main(t.Context(), host, args); got != code || !strings.Contains(complaints.String(), "put secrets") {
			t.Errorf("%v: %d, %s", args, got, complaints.String())
		}
	}
	if got := Main(t.Context(), host, []string{"status", "-state", "here"}); got != exitUsage {
		t.Error(got)
	}
	if got := Main(t.Context(), host, []string{"version"}); got != exitDone || out.String() != "test 1\n" {
		t.Errorf("%d, %q", got, out.String())
	}
}

func TestPutBundle(t *testing.T) {
	s := newSite(t, t.TempDir())
	content, err := json.Marshal(settings())
	if err != nil {
		t.Fatal(err)
	}
	good := string(archive(t, map[string]string{"settings.json": string(content)}))
	first := strings.TrimRight(good, "\x00") // its only file, and no end
	first += strings.Repeat("\x00", -len(first)&511)
	good = string(archive(t, map[string]string{"settings.json": string(content), "proxy/haproxy.cfg.tmpl": "x"}))
	for range 2 {
		got := s.run(good, "put", "bundle")
		if got.code != exitDone || got.out != sum(good)+"\n" {
			t.Fatalf("%+v", got)
		}
		path := filepath.Join(s.layout.Bundle(sum(good)), "proxy", "haproxy.cfg.tmpl")
		if file, err := os.ReadFile(path); err != nil || string(file) != "x" {
			t.Errorf("%q, %v", file, err)
		}
		if err := os.WriteFile(path, []byte("edited"), 0o600); err != nil { // put once more, it is as it was
			t.Fatal(err)
		}
	}
	link := func(name string, kind byte) string {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Linkname: "/etc/passwd", Typeflag: kind}), w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	bad := map[string]string{
		"no tar": "it is no tar archive",
		string(archive(t, map[string]string{"x": "y"})):                              "it has no settings.json",
		string(archive(t, map[string]string{"settings.json": "{}"})):                 "read settings: schema 0",
		string(archive(t, map[string]string{"../x": "y"})):                           `"../x" is no name`,
		string(archive(t, map[string]string{"/etc/x": "y"})):                         `"/etc/x" is no name`,
		string(archive(t, map[string]string{"a\x1b[1mb": "y"})):                      `is no name`,
		link("settings.json", tar.TypeSymlink):                                       "settings.json is neither a file nor a directory",
		link("settings.json", tar.TypeLink):                                          "neither a file nor a directory",
		link("x", tar.TypeFifo):                                                      "neither a file nor a directory",
		first + good:                                                                 "is in it twice",
		strings.TrimRight(good, "\x00") + strings.Repeat("\x00", wire.LongestBundle): "more than 16777216 bytes",
	}
	for text, want := range bad {
		if got := s.run(text, "put", "bundle"); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%.40q: %+v, not %q", text, got, want)
		}
	}
	entries, err := os.ReadDir(s.layout.Bundles())
	if err != nil || len(entries) != 2 { // that of the site, and this one
		t.Errorf("%v, %v", entries, err)
	}
}

// Old bundles go, but none that an order, a roll-out or a way back needs.
func TestPrune(t *testing.T) {
	s := newSite(t, t.TempDir())
	long := time.Now().Add(-48 * time.Hour)
	var digests []string
	for i := range 12 {
		changed := settings()
		changed.Judge.MinRequests = int64(200 + i)
		digest := s.put(changed)
		digests = append(digests, digest)
		at := long.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(s.layout.Bundle(digest), at, at); err != nil {
			t.Fatal(err)
		}
	}
	s.place(wire.Order{Kind: rollout.Forward, Revision: revision("v2", digests[0]), Gate: evidence("v2")})
	state := rollout.State{
		Current: revision("v1", digests[1]), Previous: []rollout.Revision{*revision("v0", digests[2])},
		Roll: &rollout.Roll{Target: revision("v2", digests[3]), From: revision("v1", digests[4])},
	}
	if err := prune(s.layout, state, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, digest := range digests {
		_, err := os.Stat(s.layout.Bundle(digest))
		if kept := err == nil; kept != (i < 5 || i >= 7) {
			t.Errorf("bundle %d: %v", i, err)
		}
	}
}

func TestPutSecrets(t *testing.T) {
	s := newSite(t, t.TempDir())
	value := strings.Repeat("canary", 3) + t.Name()
	uid := os.Getuid()
	if uid == 0 {
		uid = 10001
	}
	text := func(value string) string {
		content, err := json.Marshal(wire.Secrets{"model-api": {UID: uid, Values: map[string]string{"POSTGRES_PASSWORD": value}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	path := filepath.Join(s.layout.Secrets(), "model-api", "POSTGRES_PASSWORD")
	var inode uint64
	for i, v := range []string{value, value, value + "2"} {
		if got := s.run(text(v), "put", "secrets"); got != (said{}) {
			t.Errorf("%+v", got)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != 0o600 || int(stat.Uid) != uid {
			t.Errorf("%v of %d", info.Mode(), stat.Uid)
		}
		if content, _ := os.ReadFile(path); string(content) != v {
			t.Error("it has another value")
		}
		if same := stat.Ino == inode; same != (i == 1) {
			t.Errorf("put %d: the same file: %v", i, same)
		}
		inode = stat.Ino
	}
	for _, bad := range []string{"", value, `{"x":1}`, `{}`, `{"../x":{"uid":0,"values":{"A":"` + value + `"}}}`, `{"x":{"uid":0,"values":{"../A":"` + value + `"}}}`, `{"x":{"uid":-1,"values":{}}}`} {
		got := s.run(bad, "put", "secrets")
		if got.code != exitUsage || strings.Contains(got.err, value) || got.out != "" {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
