// Package config reads what the users wrote: pipeline.yaml, strictly, and env/*.env.
//
// It stands beside the engine, above package strict alone, and holds plain data. Every value has a default, so
// that pipeline.yaml is optional; the repository's own commented pipeline.yaml names every key, and a test keeps
// it complete.
package config

// Project is everything that the stages know of the repository that they judge. Paths are slash-separated and
// relative to Root.
type Project struct {
	Root string `yaml:"-"` // absolute; the directory of pipeline.yaml

	Version      int                    `yaml:"version"`
	Name         string                 `yaml:"name"`
	Source       []string               `yaml:"source"`
	Tests        Tests                  `yaml:"tests"`
	Python       Python                 `yaml:"python"`
	Postgres     Postgres               `yaml:"postgres"`
	Run          Run                    `yaml:"run"`
	Quality      Quality                `yaml:"quality"`
	Security     Security               `yaml:"security"`
	Unit         Unit                   `yaml:"unit"`
	Data         Data                   `yaml:"data"`
	Integration  Integration            `yaml:"integration"`
	Model        Model                  `yaml:"model"`
	Benchmark    Benchmark              `yaml:"benchmark"`
	Image        Image                  `yaml:"image"`
	Evidence     Evidence               `yaml:"evidence"`
	Notify       Notify                 `yaml:"notify"`
	Deploy       Deploy                 `yaml:"deploy"`
	Environments map[string]Environment `yaml:"environments"`
}

// Tests names the roots of the test suites.
type Tests struct {
	Unit        []string `yaml:"unit"`
	Integration []string `yaml:"integration"`
	Benchmark   []string `yaml:"benchmark"`
}

// Python says how the project's environment is made.
type Python struct {
	Version      string `yaml:"version"`      // "3.11"
	Requirements string `yaml:"requirements"` // hash-pinned: the environment that tools and tests run in
	Directory    string `yaml:"directory"`    // ".venv"
	// Apart are environments whose pins conflict with the first one's, by name.
	Apart map[string]Environ `yaml:"apart"`
}

// Environ is one Python environment apart.
type Environ struct {
	Requirements string `yaml:"requirements"`
	Directory    string `yaml:"directory"`
}

// Postgres says what database server tests get.
type Postgres struct {
	Version string `yaml:"version"` // "15": the major version that an own server must have
}

// Run holds limits of the whole run.
type Run struct {
	Jobs    int                 `yaml:"jobs"` // 0: one per core
	Timeout Duration            `yaml:"timeout"`
	Budgets map[string]Duration `yaml:"budgets"` // by stage: the time that each of its steps may take at the most
	Slow    Slow                `yaml:"slow"`
	History int                 `yaml:"history"` // runs that are remembered
}

// Slow says when a stage exceeds its budget so often that it is warned about.
type Slow struct {
	Runs   int     `yaml:"runs"`   // of the stage that count, the newest
	Margin float64 `yaml:"margin"` // per cent: only what is longer by more is too long
	Alpha  float64 `yaml:"alpha"`  // significance level
}

// Quality configures the stage of that name.
type Quality struct {
	Paths  []string `yaml:"paths"` // black, isort, flake8
	Pylint Pylint   `yaml:"pylint"`
}

// Pylint has its own paths and threshold.
type Pylint struct {
	Paths        []string `yaml:"paths"`
	MinimumScore float64  `yaml:"minimum_score"`
	Jobs         int      `yaml:"jobs"` // the score differs with it, so it is fixed
}

// Security configures the stage of that name.
type Security struct {
	Bandit  Bandit  `yaml:"bandit"`
	Safety  Safety  `yaml:"safety"`
	Secrets Secrets `yaml:"secrets"`
	Allow   []Allow `yaml:"allow"`
}

// Bandit judges the source.
type Bandit struct {
	Paths      []string `yaml:"paths"`
	Severity   string   `yaml:"severity"`   // low, medium, high: findings at or above it fail
	Confidence string   `yaml:"confidence"` // low, medium, high: findings below it are not reported
}

// Safety judges the locked requirements of the system.
type Safety struct {
	Requirements []string `yaml:"requirements"`
	// Database is a local advisory database, a directory, used when the online one can't be reached. The variable
	// named in DatabaseVariable takes precedence.
	Database         string   `yaml:"database"`
	DatabaseVariable string   `yaml:"database_variable"`
	WarnAge          Duration `yaml:"warn_age"`
}

// Secrets configures the secret scan.
type Secrets struct {
	History bool `yaml:"history"` // scan every commit, not only the tree
}

// Allow lets one finding of the security stage, or of what is known of images, through, for a stated reason and until a
// date. What is said of safety and secrets counts for images, too.
type Allow struct {
	Tool    string `yaml:"tool"`    // bandit, safety, secrets; image:packages, image:updates, image:secrets
	Rule    string `yaml:"rule"`    // the tool's identifier
	Path    string `yaml:"path"`    // optional: only in this file of the project or, without a slash before it, of an image
	Package string `yaml:"package"` // optional: only in this package
	Reason  string `yaml:"reason"`  // required
	Expires string `yaml:"expires"` // required, YYYY-MM-DD: on that day it no longer counts
	Line    int    `yaml:"-"`       // in pipeline.yaml
}

// Unit configures the stage of that name.
type Unit struct {
	Coverage    Coverage `yaml:"coverage"`
	Workers     int      `yaml:"workers"` // 0: one per core
	Slowest     int      `yaml:"slowest"` // how many are shown
	LeastCover  int      `yaml:"least_covered"`
	TestTimeout Duration `yaml:"test_timeout"`
	// Rerun is how often failed tests are run again, 0 or 1. A test that passes then is flaky, which is not passed.
	Rerun      int          `yaml:"rerun"`
	Quarantine []Quarantine `yaml:"quarantine"`
}

// Quarantine lets one test fail, for a stated reason and until a date, while its owner mends it.
type Quarantine struct {
	Test    string `yaml:"test"`    // as pytest names it: tests/unit/test_x.py::test_y, with or without parameters
	Owner   string `yaml:"owner"`   // who mends it
	Reason  string `yaml:"reason"`  // required
	Expires string `yaml:"expires"` // required, YYYY-MM-DD: on that day it counts again
}

// Coverage is the floor that the unit tests must reach.
type Coverage struct {
	Source  []string `yaml:"source"`
	Minimum float64  `yaml:"minimum"` // per cent of lines and branches together
}

// Data configures the stage of that name.
type Data struct {
	Contracts string          `yaml:"contracts"` // directory of the descriptors
	Files     []string        `yaml:"files"`     // directories in which each data file must have a contract
	Findings  int             `yaml:"findings"`  // of one rule in one column that are kept; all are counted
	Memory    int             `yaml:"memory"`    // MiB that keys may take before they go to disk
	Made      map[string]Made `yaml:"made"`      // by contract: data sets that a command makes for the judging
}

// FilePlaceholder in a command stands for the file that it is to write.
const FilePlaceholder = "{file}"

// Made says how a data set is made.
type Made struct {
	Command []string          `yaml:"command"` // in the Python environment; FilePlaceholder is the file to write
	Env     map[string]string `yaml:"env"`     // added to the command's environment
}
