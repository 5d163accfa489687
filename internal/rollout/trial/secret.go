package trial

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
)

// secretTrial deploys twice with canaries for secrets, and looks for them wherever they must not be.
func secretTrial() Trial {
	return Trial{"secret", "canaries in a deploy and a rollback", func(ctx context.Context, l *Lab, r *Report) (err error) {
		listening := listen()
		defer listening.stop()
		s, err := l.Site(ctx, l.trivial(), brisk())
		defer closing(ctx, s, &err)
		if err != nil {
			return err
		}
		s.kind = kind{release: (*Lab).trivialRelease}
		if err := s.deployThree(ctx); err != nil {
			return err
		}
		h := hunt{canaries: s.canaries}
		h.look("command lines of all processes, "+fmt.Sprint(listening.looks())+" looks", listening.stop())
		if err := h.engine(ctx, s); err != nil {
			return err
		}
		if err := h.files(s.state); err != nil {
			return err
		}
		r.figure("places", float64(len(h.places)), "")
		r.figure("bytes", float64(h.bytes), "")
		r.figure("canaries", float64(len(s.canaries)), "")
		r.say("%d canaries, in five spellings each, are in none of: %s", len(s.canaries), strings.Join(h.kinds, ", "))
		return h.verdict()
	}}
}

// deployThree deploys a first release, one that comes through, and one that is rolled back.
func (s *Site) deployThree(ctx context.Context) error {
	first, err := s.next(ctx, nil)
	if err == nil {
		err = s.becomes(ctx, first)
	}
	if err != nil {
		return err
	}
	_, err = s.under(ctx, 100, func(ctx context.Context) error {
		good, err := s.next(ctx, nil)
		if err == nil {
			err = s.becomes(ctx, good)
		}
		if err != nil {
			return err
		}
		bad, err := s.next(ctx, composetest.Knobs{"SERVER_ERRORS": "0.5"})
		if err == nil {
			_, err = s.roll(ctx, bad)
		}
		return err
	})
	return err
}

// A hunt looks for canaries.
type hunt struct {
	canaries map[string]string
	places   []string
	kinds    []string
	bytes    int
	found    []string
}

// spellings of a value that a program may make of it.
func spellings(value string) map[string]string {
	reversed := []rune(value)
	slices.Reverse(reversed)
	return map[string]string{
		"as it is": value, "in base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "="), "for an address": url.QueryEscape(value),
		"reversed": string(reversed), "in hexadecimal": hex.EncodeToString([]byte(value)),
	}
}

func (h *hunt) look(place string, content []byte) {
	h.places = append(h.places, place)
	h.bytes += len(content)
	for _, name := range slices.Sorted(maps.Keys(h.canaries)) {
		for how, spelled := range spellings(h.canaries[name]) {
			if bytes.Contains(content, []byte(spelled)) {
				h.found = append(h.found, fmt.Sprintf("%s, %s, is in %s", name, how, place))
			}
		}
	}
}

func (h *hunt) verdict() error {
	if len(h.found) > 0 {
		return errors.New(strings.Join(h.found, "; "))
	}
	if h.bytes < 10_000 {
		return fmt.Errorf("only %d bytes were looked at", h.bytes)
	}
	return nil
}

// engine asks the engine for all that it tells of containers, images, volumes and networks.
func (h *hunt) engine(ctx context.Context, s *Site) error {
	listed, err := s.lab.docker(ctx, "ps", "--all", "--quiet", "--filter", "label=meter.environment="+s.target.Environment)
	if err != nil {
		return err
	}
	containers := strings.Fields(listed)
	if len(containers) < 5 {
		return fmt.Errorf("only %d containers are there to be looked at", len(containers))
	}
	images := map[string]bool{}
	for _, c := range containers {
		name, err := s.lab.docker(ctx, "inspect", "--format", "{{.Name}} {{.Image}}", c)
		if err != nil {
			return err
		}
		name, image, _ := strings.Cut(name, " ")
		images[image] = true
		for _, args := range [][]string{{"inspect"}, {"logs"}, {"top"}, {"diff"}} {
			out, err := s.lab.both(ctx, append(args, c)...)
			if err != nil && args[0] != "top" { // a task has ended
				return err
			}
			h.look("docker "+args[0]+" of "+name, out)
		}
	}
	for image := range images {
		for _, args := range [][]string{{"image", "history", "--no-trunc"}, {"image", "inspect"}} {
			out, err := s.lab.both(ctx, append(args, image)...)
			if err != nil {
				return err
			}
			h.look("docker "+args[1]+" of "+image, out)
		}
	}
	out, err := s.lab.both(ctx, "events", "--since", "15m", "--until", "0s")
	if err != nil {
		return err
	}
	h.look("docker events", out)
	h.kinds = append(h.kinds, fmt.Sprintf("inspect, logs, top and diff of %d containers", len(containers)), fmt.Sprintf("history and inspect of %d images", len(images)), "docker events")
	return nil
}

// files are all of the state directory but the secrets' own, which must be their user's only.
func (h *hunt) files(state string) error {
	count := 0
	secrets := filepath.Join(state, "secrets")
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, secrets+string(filepath.Separator)) {
			if info.Mode().Perm()&0o077 != 0 {
				h.found = append(h.found, fmt.Sprintf("%s has mode %o", path, info.Mode().Perm()))
			}
			return nil
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path) //nolint:gosec // nobody else writes there
		if err != nil {
			return err
		}
		count++
		h.look(path, content)
		return nil
	})
	h.kinds = append(h.kinds, fmt.Sprintf("%d files of the state directory (journal, orders, results, status, alerts, metrics, bundles)", count), "the command line of every process meanwhile")
	return err
}

// both are what a call of docker writes to its outputs.
func (l *Lab) both(ctx context.Context, args ...string) ([]byte, error) {
	out, err := l.runner.Run(ctx, engine.Invocation{Program: "docker", Args: args, Dir: l.Root, Env: l.Env, Line: func(string) {}})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("docker %s: exit code %d: %s", args[0], out.ExitCode, shorten(string(out.Stderr), 300))
	}
	return append(out.Stdout, out.Stderr...), err
}

// A listener collects the command lines of all processes of this machine, which anybody on it may see.
type listener struct {
	mu    sync.Mutex
	seen  map[string]bool
	count int
	once  sync.Once
	end   chan struct{}
	ended chan struct{}
}

func listen() *listener {
	l := &listener{seen: map[string]bool{}, end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for {
			l.look()
			select {
			case <-l.end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return l
}

func (l *listener) look() {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	for _, path := range paths {
		if content, err := os.ReadFile(path); err == nil { // it may have ended
			l.seen[string(content)] = true
		}
	}
}

func (l *listener) looks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// stop returns all that was seen.
func (l *listener) stop() []byte {
	l.once.Do(func() { close(l.end) })
	<-l.ended
	return []byte(strings.Join(slices.Sorted(maps.Keys(l.seen)), "\n"))
}
