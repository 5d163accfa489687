package config

import (
	"strings"
	"testing"
	"time"
)

func TestBenchmark(t *testing.T) {
	p, err := Load(project(t, `
benchmark:
  slower: 20
  measures:
    - {name: single, command: [python, m.py, "{file}"], limit: 5ms}
  load: {command: [serve, "{port}"], rate: 50}
`))
	if err != nil {
		t.Fatal(err)
	}
	b := p.Benchmark
	if b.Slower != 20 || b.Processes != 10 || b.Measures[0].Limit.Std() != 5*time.Millisecond || b.Load.Rate != 50 || b.Load.Limit.Std() != 100*time.Millisecond || b.Load.Bodies != RequestsPlaceholder {
		t.Errorf("%+v: what is not written keeps its default", b)
	}
}

func TestBenchmarkRefuses(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"alpha", "alpha: 0.2", "benchmark.alpha is 0.2: choose more than 0 and at most 0.05"},
		{"no alpha", "alpha: 0", "benchmark.alpha is 0"},
		{"busy", "busy: 101", "benchmark.busy is 101, a threshold that nothing can miss"},
		{"slower", "slower: 0", "benchmark.slower is 0"},
		{"no process", "processes: 0", "benchmark.processes is 0: choose 1 to 1000"},
		{"baseline outside", "baseline: ../b.json", "outside of the project"},
		{"unknown key", "measures: [{name: a, cmd: [x]}]", `unknown key "cmd" in benchmark.measures[0]`},
		{"no name", `measures: [{command: ["{file}"], limit: 1s}]`, `benchmark.measures[0].name is ""`},
		{"bad name", `measures: [{name: A b, command: ["{file}"], limit: 1s}]`, `benchmark.measures[0].name is "A b"`},
		{"name twice", `measures: [{name: a, command: ["{file}"], limit: 1s}, {name: a, command: ["{file}"], limit: 1s}]`, `benchmark.measures[1].name is "a", which there is already`},
		{"name of the load", `{measures: [{name: api, command: ["{file}"], limit: 1s}], load: {command: [s, "{port}"]}}`, `benchmark.load.name is "api", which there is already`},
		{"no command", "measures: [{name: a, limit: 1s}]", "benchmark.measures[0] has no command"},
		{"no file", "measures: [{name: a, command: [x], limit: 1s}]", "benchmark.measures[0] does not say where {file} goes"},
		{"no limit", `measures: [{name: a, command: ["{file}"]}]`, "benchmark.measures[0].limit is 0s"},
		{"no port", "load: {command: [s]}", "benchmark.load does not say where {port} goes"},
		{"path", `load: {command: [s, "{port}"], path: predict}`, `benchmark.load.path is "predict": write a path of the server`},
		{"bodies", `load: {command: [s, "{port}"], bodies: nowhere.json}`, "benchmark.load.bodies"},
		{"rate", `load: {command: [s, "{port}"], rate: 0}`, "benchmark.load.rate is 0"},
		{"warm-up", `load: {command: [s, "{port}"], warmup: -1s}`, "benchmark.load.warmup is below zero"},
		{"profiler", "profiler: [py-spy]", "benchmark.profiler does not say where {file} goes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			yaml := "benchmark: {" + tc.yaml + "}\n"
			if strings.HasPrefix(tc.yaml, "{") {
				yaml = "benchmark: " + tc.yaml + "\n"
			}
			if _, err := Load(project(t, yaml)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
