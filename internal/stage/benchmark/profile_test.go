package benchmark

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A profiler is put before the command, and draws what is asked for, or what is nearest to its limit.
func TestProfile(t *testing.T) {
	for _, tc := range []struct{ name, of, draws, want string }{
		{"named", "single", "<svg/>", "flame graph of a single prediction: artifacts/profile-single.svg"},
		{"the slowest", "", "<svg/>", "flame graph of features: artifacts/profile-features.svg"},
		{"nothing drawn", "single", "", "drew nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			factor := 1.0
			write := program(t, recorded(t), &factor)
			b := newBench(t, func(ctx context.Context, i engine.Invocation) (engine.Output, error) {
				if at := slices.Index(i.Args, "--"); at >= 0 {
					if i.Args[0] != "30" || i.Args[at+1] != "python" {
						t.Errorf("arguments %q", i.Args)
					}
					lay(t, i.Args[1], tc.draws)
					return engine.Output{}, nil
				}
				return write(ctx, i)
			}, false)
			b.project.Benchmark.Profiler = []string{"python", "{seconds}", "{file}", "--"}
			slow := b.project.Benchmark.Measures[0]
			slow.Name, slow.Judges, slow.Limit = "features", "features", slow.Limit/10
			b.project.Benchmark.Measures = append(b.project.Benchmark.Measures, slow)
			steps, err := profile{b.stage, tc.of}.Steps(b.project)
			if err != nil {
				t.Fatal(err)
			}
			j, err := steps[0].Func(t.Context(), b.scope)
			if got := text(j) + errorText(err); !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %q", got, tc.want)
			}
		})
	}
}

func TestProfileOfAServer(t *testing.T) {
	b := loadBench(t, func(ctx context.Context, port string, i engine.Invocation) (engine.Output, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		count := 0
		strict := &strictServer{t: t, seen: map[string]int{}, answer: func(w http.ResponseWriter, body string) {
			if count++; count == 1 { // the profiler has seen enough
				cancel()
			}
			echo(w, body)
		}}
		_, _ = listen(ctx, port, strict)
		return engine.Output{}, os.WriteFile(filepath.Clean(i.Args[0]), []byte("<svg/>"), 0o600)
	})
	b.project.Benchmark.Profiler = []string{"python", "{file}", "--"}
	steps, err := profile{b.stage, "api"}.Steps(b.project)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(steps[0].After, "") != "integration:train" {
		t.Error(steps[0].After)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = steps[0].Func(ctx, b.scope)
	if err != nil {
		t.Error(err)
	}
}

func TestProfileOfNothing(t *testing.T) {
	b := newBench(t, nil, false)
	for profiler, want := range map[string]string{"": "benchmark.profiler is empty", "x": `no measure "singel" to profile: did you mean`} {
		b.project.Benchmark.Profiler = strings.Fields(profiler)
		if _, err := (profile{b.stage, "singel"}).Steps(b.project); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
