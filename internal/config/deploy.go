package config

import (
	"cmp"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Deploy is what all deploys have in common.
type Deploy struct {
	State      string                   `yaml:"state"`      // directory on the target; each environment has one of its name below it
	Serves     string                   `yaml:"serves"`     // name of the image that gets the traffic: its digest decides what is served
	Agent      string                   `yaml:"agent"`      // base of the agent's image: has docker and docker compose; METER_AGENT_BASE comes first
	Postgres   string                   `yaml:"postgres"`   // image; POSTGRES_IMAGE of the environment comes first
	Proxy      string                   `yaml:"proxy"`      // image; PROXY_IMAGE of the environment comes first
	Registry   string                   `yaml:"registry"`   // image of the rehearsal's registry; METER_REGISTRY_IMAGE comes first
	Compose    string                   `yaml:"compose"`    // file; that of an environment is beside it: compose.staging.yaml
	Template   string                   `yaml:"template"`   // of the proxy's configuration
	Smoke      string                   `yaml:"smoke"`      // program that asks all parts together
	Migrations string                   `yaml:"migrations"` // directory; the newest in it is the schema that a release needs
	Once       map[string]string        `yaml:"once"`       // services that run beside the slots, and the name of the image of ours that each runs
	Secrets    map[string]DeploySecrets `yaml:"secrets"`    // by the directory below secrets/ of the state directory
}

// DeploySecrets are those of one directory, which are readable for one account.
type DeploySecrets struct {
	User  int      `yaml:"user"`  // number of the account
	Names []string `yaml:"names"` // of the variables
}

// Environment is a deploy target, whose values are in env/<name>.env.
type Environment struct {
	Compose       string          `yaml:"compose"`        // whose Compose file is laid over the common one; empty: its own
	Branch        string          `yaml:"branch"`         // whose pushes `mage pipeline` deploys here; empty: none's
	DockerContext string          `yaml:"docker_context"` // empty: the engine that `docker` speaks with
	Required      []string        `yaml:"required"`       // names that must have a value
	Secrets       []string        `yaml:"secrets"`        // names whose values come from the process environment only, and are masked
	Generated     []string        `yaml:"generated"`      // secrets that are made up, once, where nobody has set them: for a laptop
	Publish       string          `yaml:"publish"`        // address of the target that the ports are bound to
	Ports         DeployPorts     `yaml:"ports"`
	Promotes      string          `yaml:"promotes"` // environment in which the same digests must be done first; empty: none
	Gate          string          `yaml:"gate"`     // evidence policy that each image must meet; empty: none
	Steps         []DeployStep    `yaml:"steps"`    // the last has a weight of 100, and its window is the bake
	Judge         DeployJudge     `yaml:"judge"`
	Times         DeployTimes     `yaml:"times"`
	Synthetic     DeploySynthetic `yaml:"synthetic"`
}

// DeployPorts are those on which users reach an environment.
type DeployPorts struct {
	Proxy   int `yaml:"proxy"` // the API, blue or green
	MLflow  int `yaml:"mlflow"`
	Airflow int `yaml:"airflow"`
}

// A DeployStep is a share of the traffic, and how long it is watched.
type DeployStep struct {
	Weight   int      `yaml:"weight"`   // per cent
	Window   Duration `yaml:"window"`   // a pass comes no sooner
	Deadline Duration `yaml:"deadline"` // without a pass, all goes back then
}

// DeployJudge says what the new release is held against.
type DeployJudge struct {
	Alpha       float64  `yaml:"alpha"`       // probability of a false alarm in a whole release
	Guard       float64  `yaml:"guard"`       // rate of errors that is too much whatever the old release does
	Requests    int      `yaml:"requests"`    // needed of each side in each window
	Slower      float64  `yaml:"slower"`      // 0.25: slower than the old release by a quarter; 0: not judged
	Predictions []string `yaml:"predictions"` // the histograms of predictions that are compared
	Shift       float64  `yaml:"shift"`       // distance of their distributions that is too much
}

// DeployTimes are how long each part of a deploy may take.
type DeployTimes struct {
	Pull    Duration `yaml:"pull"`
	Migrate Duration `yaml:"migrate"`
	Ready   Duration `yaml:"ready"` // from the start until it is healthy
	Smoke   Duration `yaml:"smoke"`
	Replace Duration `yaml:"replace"` // of what runs once, until all of it is healthy
	Verify  Duration `yaml:"verify"`
	Drain   Duration `yaml:"drain"` // then what is still open is cut
	Blind   Duration `yaml:"blind"` // for so long nothing may be seen of the target
	Poll    Duration `yaml:"poll"`  // between two looks
}

// DeploySynthetic is the load that fills up thin traffic, so that there is something to judge.
type DeploySynthetic struct {
	Rate float64 `yaml:"rate"` // requests a second in all, those of users included, in a window that lacks some; 0: none
}

func defaultDeploy() Deploy {
	return Deploy{
		State: "/var/lib/meter-pipeline", Serves: "model_api",
		Agent: "docker:28-cli", Postgres: "postgres:15", Proxy: "haproxy:3.0", Registry: "registry:2",
		Compose: "docker/compose.yaml", Template: "docker/proxy/haproxy.cfg.tmpl", Smoke: "scripts/smoke.py",
		Migrations: "src/data/migrations/versions",
	}
}

// defaultEnvironment is what an environment gets that says nothing else.
func defaultEnvironment() Environment {
	seconds := func(n float64) Duration { return Duration(n * float64(time.Second)) }
	return Environment{
		Publish: "127.0.0.1",
		Ports:   DeployPorts{Proxy: 8000, MLflow: 5000, Airflow: 8080},
		Steps: []DeployStep{
			{Weight: 5, Window: seconds(60), Deadline: seconds(120)},
			{Weight: 25, Window: seconds(60), Deadline: seconds(120)},
			{Weight: 50, Window: seconds(60), Deadline: seconds(120)},
			{Weight: 100, Window: seconds(60), Deadline: seconds(120)},
		},
		Judge: DeployJudge{
			Alpha: 0.001, Guard: 0.05, Requests: 50, Slower: 0.5, Shift: 0.15,
			Predictions: []string{"prediction_units_kwh", "prediction_high_probability"},
		},
		Times: DeployTimes{
			Pull: seconds(300), Migrate: seconds(120), Ready: seconds(90), Smoke: seconds(30), Replace: seconds(180),
			Verify: seconds(120), Drain: seconds(30), Blind: seconds(30), Poll: seconds(0.5),
		},
		Synthetic: DeploySynthetic{Rate: 20},
	}
}

// completeEnvironment fills in what a file has not written below a key.
func completeEnvironment(e Environment, key string, written func(key string) bool) Environment {
	fill(reflect.ValueOf(&e).Elem(), reflect.ValueOf(defaultEnvironment()), key, written)
	return e
}

func fill(value, fallback reflect.Value, key string, written func(key string) bool) {
	for i := range value.NumField() {
		field, at := value.Field(i), strict.Join(key, value.Type().Field(i).Tag.Get("yaml"))
		switch {
		case field.Kind() == reflect.Struct:
			fill(field, fallback.Field(i), at, written)
		case !written(at):
			field.Set(fallback.Field(i))
		}
	}
}

// EnvironmentNames are sorted.
func (p *Project) EnvironmentNames() []string { return slices.Sorted(maps.Keys(p.Environments)) }

// OwnSecrets are the secrets of an environment that something on the target reads, by directory.
func (p *Project) OwnSecrets(environment string) map[string][]string {
	own := map[string][]string{}
	for name, service := range p.Deploy.Secrets {
		for _, secret := range service.Names {
			if slices.Contains(p.Environments[environment].Secrets, secret) {
				own[name] = append(own[name], secret)
			}
		}
	}
	return own
}

// ComposeFile is the one that is laid over the common one, which it stands beside.
func (p *Project) ComposeFile(environment string) string {
	extension := path.Ext(p.Deploy.Compose)
	return strings.TrimSuffix(p.Deploy.Compose, extension) + "." + cmp.Or(p.Environments[environment].Compose, environment) + extension
}
