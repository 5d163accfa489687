package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Benchmark configures the stage of that name. Commands run in the Python environment, in the root.
type Benchmark struct {
	Baseline  string    `yaml:"baseline"`  // the file that `mage benchmark:baseline` writes
	Processes int       `yaml:"processes"` // how often each measure is repeated, each time in a process of its own
	Servers   int       `yaml:"servers"`   // the same for the load on a server, whose start takes longer
	Alpha     float64   `yaml:"alpha"`     // significance level of the comparison with the baseline
	Slower    float64   `yaml:"slower"`    // per cent by which a median must be slower to be a regression
	Busy      float64   `yaml:"busy"`      // per cent of the machine's cores that others may take meanwhile
	Retries   int       `yaml:"retries"`   // further repetitions in place of those in which the machine was too busy
	Measures  []Measure `yaml:"measures"`
	Load      LoadTest  `yaml:"load"`
	Profiler  []string  `yaml:"profiler"` // put before a command, it writes a flame graph to FilePlaceholder
}

// Placeholders in the commands of a benchmark and in their environments, beside FilePlaceholder.
const (
	ModelsPlaceholder   = "{models}"   // directory of the models that training handed over
	RequestsPlaceholder = "{requests}" // file of request bodies that training handed over, a JSON array
	PortPlaceholder     = "{port}"     // free port that the server is to listen on
	SecondsPlaceholder  = "{seconds}"  // how long a profiler is to watch at the most
)

// A Measure is a program that times something in its own process, many times.
type Measure struct {
	Name    string            `yaml:"name"`    // of the step
	Judges  string            `yaml:"judges"`  // what is timed, a short phrase
	Command []string          `yaml:"command"` // writes the time of each round to FilePlaceholder
	Env     map[string]string `yaml:"env"`
	Limit   Duration          `yaml:"limit"` // of the 95th percentile of all rounds
}

// LoadTest is what a server must withstand. Without a command there is none.
type LoadTest struct {
	Name     string            `yaml:"name"`
	Judges   string            `yaml:"judges"`
	Command  []string          `yaml:"command"` // starts the server; PortPlaceholder is its port
	Env      map[string]string `yaml:"env"`
	Ready    string            `yaml:"ready"`  // answers GET with 200 when the server is ready
	Path     string            `yaml:"path"`   // gets a POST of each body in turn
	Bodies   string            `yaml:"bodies"` // RequestsPlaceholder, or a file in the project: a JSON array
	Rate     int               `yaml:"rate"`   // requests a second, answered or not
	Warmup   Duration          `yaml:"warmup"`
	Duration Duration          `yaml:"duration"` // of the load on each server
	Start    Duration          `yaml:"start"`    // how long a server may take to be ready
	Limit    Duration          `yaml:"limit"`
}

func defaultBenchmark() Benchmark {
	return Benchmark{
		Baseline: "benchmarks/baseline.json", Processes: 10, Servers: 6, Alpha: 0.001, Slower: 15, Busy: 10, Retries: 10,
		Load: LoadTest{
			Name: "api", Judges: "response of the API", Ready: "/health", Path: "/predict", Bodies: RequestsPlaceholder, Rate: 200,
			Warmup: Duration(500 * time.Millisecond), Duration: Duration(1500 * time.Millisecond), Start: Duration(30 * time.Second),
			Limit: Duration(100 * time.Millisecond),
		},
	}
}

// measureName is what the engine takes for the name of a step.
var measureName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

func (v *validator) benchmark() {
	b := v.project.Benchmark
	v.path("benchmark.baseline", b.Baseline, false)
	v.within("benchmark.processes", float64(b.Processes), 1, 1000, "each is a repetition of every measure")
	v.within("benchmark.servers", float64(b.Servers), 1, 100, "each is a repetition of the load")
	v.within("benchmark.retries", float64(b.Retries), 0, 1000, "")
	v.threshold("benchmark.busy", b.Busy, 100)
	v.threshold("benchmark.slower", b.Slower, 1000)
	if math.IsNaN(b.Alpha) || b.Alpha <= 0 || b.Alpha > 0.05 {
		v.Report("benchmark.alpha", fmt.Sprintf("benchmark.alpha is %v", b.Alpha), "choose more than 0 and at most 0.05; it is how often unchanged code may be called slower")
	}
	var names []string
	for i, m := range b.Measures {
		key := fmt.Sprintf("benchmark.measures[%d]", i)
		names = v.benchmarkName(key, m.Name, names)
		v.command(key, m.Command, FilePlaceholder)
		v.positive(key+".limit", m.Limit)
	}
	if len(b.Load.Command) > 0 {
		v.benchmarkName("benchmark.load", b.Load.Name, names)
		v.load(b.Load)
	}
	if len(b.Profiler) > 0 {
		v.command("benchmark.profiler", b.Profiler, FilePlaceholder)
	}
}

func (v *validator) load(l LoadTest) {
	v.command("benchmark.load", l.Command, PortPlaceholder)
	for _, path := range []struct{ key, value string }{{"ready", l.Ready}, {"path", l.Path}} {
		if !strings.HasPrefix(path.value, "/") {
			v.Report("benchmark.load."+path.key, fmt.Sprintf("benchmark.load.%s is %q", path.key, path.value), "write a path of the server, which begins with /")
		}
	}
	if l.Bodies != RequestsPlaceholder {
		v.path("benchmark.load.bodies", l.Bodies, true)
	}
	v.within("benchmark.load.rate", float64(l.Rate), 1, 10000, "it is in requests a second")
	for _, d := range []struct {
		key   string
		value Duration
	}{{"duration", l.Duration}, {"start", l.Start}, {"limit", l.Limit}} {
		v.positive("benchmark.load."+d.key, d.value)
	}
	if l.Warmup < 0 {
		v.Report("benchmark.load.warmup", "benchmark.load.warmup is below zero", "choose 0s or more")
	}
}

// benchmarkName refuses what can't be a step's name, and a name that is taken.
func (v *validator) benchmarkName(key, name string, taken []string) []string {
	switch {
	case !measureName.MatchString(name):
		v.Report(key+".name", fmt.Sprintf("%s.name is %q", key, name), "use lower-case letters, digits, _ and -")
	case slices.Contains(taken, name):
		v.Report(key+".name", fmt.Sprintf("%s.name is %q, which there is already", key, name), "give each measure a name of its own")
	}
	return append(taken, name)
}

func (v *validator) command(key string, command []string, placeholder string) {
	switch {
	case len(command) == 0 || command[0] == "":
		v.Report(key, key+" has no command", "name the program and its arguments as a list")
	case !strings.Contains(strings.Join(command, " "), placeholder):
		v.Report(key+".command", fmt.Sprintf("%s does not say where %s goes", key, placeholder), "write it where the program wants it")
	}
}
