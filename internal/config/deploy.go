package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path"
	"reflect"
	"regexp"
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

var (
	imageName     = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._/:@-]*$`)
	dockerContext = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$`)
	serviceName   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	histogram     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

func (v *validator) deploy() {
	d := v.project.Deploy
	if !path.IsAbs(d.State) || path.Clean(d.State) != d.State || d.State == "/" {
		v.Report("deploy.state", fmt.Sprintf("deploy.state is %q", d.State), "write an absolute path of the target, such as /var/lib/meter-pipeline")
	}
	for _, image := range []struct{ key, name string }{
		{"agent", d.Agent}, {"postgres", d.Postgres}, {"proxy", d.Proxy}, {"registry", d.Registry},
	} {
		if !imageName.MatchString(image.name) {
			v.Report("deploy."+image.key, fmt.Sprintf("deploy.%s is %q, which no image is called", image.key, image.name), "write it as `docker pull` takes it: postgres:15")
		}
	}
	for _, file := range []struct{ key, path string }{
		{"compose", d.Compose}, {"template", d.Template}, {"smoke", d.Smoke}, {"migrations", d.Migrations},
	} {
		v.path("deploy."+file.key, file.path, true)
	}
	var images []string
	for _, image := range v.project.Image.Images {
		images = append(images, image.Name)
	}
	if v.Written("deploy.serves") {
		v.oneOf("deploy.serves", d.Serves, images)
	}
	ours := slices.DeleteFunc(images, func(name string) bool { return name == d.Serves })
	for _, name := range slices.Sorted(maps.Keys(d.Once)) {
		v.named("deploy.once."+name, name)
		v.oneOf("deploy.once."+name, d.Once[name], ours)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Secrets)) {
		key := "deploy.secrets." + name
		v.named(key, name)
		v.within(key+".user", float64(d.Secrets[name].User), 0, math.MaxInt32, "it is the number of an account in the image")
		v.variables(key+".names", d.Secrets[name].Names)
	}
}

func (v *validator) named(key, name string) {
	if !serviceName.MatchString(name) {
		v.Report(key, fmt.Sprintf("%q is no name for a service", name), "use lower-case letters, digits and hyphens, as in "+v.project.Deploy.Compose)
	}
}

func (v *validator) variables(key string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case !validVariable(name):
			v.Report(at, fmt.Sprintf("%q is no name for a variable", name), "use capital letters, digits and underscores")
		case slices.Contains(names[:i], name):
			v.Report(at, fmt.Sprintf("%s is %s, which there is already", at, name), "name each once")
		}
	}
}

func (v *validator) environments() {
	all := v.project.Environments
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names {
		key, e := "environments."+name, all[name]
		if !validEnvironmentName(name) {
			v.Report(key, fmt.Sprintf("%q is no name for an environment", name), "use lower-case letters, digits and hyphens")
		}
		if e.Compose != "" {
			v.oneOf(key+".compose", e.Compose, names)
		}
		if e.DockerContext != "" && !dockerContext.MatchString(e.DockerContext) {
			v.Report(key+".docker_context", fmt.Sprintf("%s.docker_context is %q", key, e.DockerContext), "write a name that `docker context ls` lists")
		}
		v.variables(key+".required", e.Required)
		v.variables(key+".secrets", e.Secrets)
		v.variables(key+".generated", e.Generated)
		for i, name := range e.Generated {
			if !slices.Contains(e.Secrets, name) {
				v.Report(fmt.Sprintf("%s.generated[%d]", key, i), fmt.Sprintf("%s.generated names %s, which is no secret of it", key, name), "name it under secrets, too")
			}
		}
		if address, err := netip.ParseAddr(e.Publish); err != nil || address.Zone() != "" {
			v.Report(key+".publish", fmt.Sprintf("%s.publish is %q, no address", key, e.Publish), "write 127.0.0.1, or the address on which others may reach it")
		}
		if e.Gate != "" {
			v.oneOf(key+".gate", e.Gate, slices.Sorted(maps.Keys(v.project.Evidence.Policies)))
		}
		for _, other := range names[:slices.Index(names, name)] {
			if e.Branch != "" && all[other].Branch == e.Branch {
				v.Report(key+".branch", fmt.Sprintf("%s.branch is %q, as that of %s is", key, e.Branch, other), "a push can go to one of the two; what comes first belongs under promotes")
			}
		}
		v.promotes(key, name, names)
		v.ports(key, name, names)
		v.rollout(key, e)
	}
}

func (v *validator) promotes(key, name string, names []string) {
	seen := map[string]bool{name: true}
	for at := v.project.Environments[name].Promotes; at != ""; at = v.project.Environments[at].Promotes {
		if !slices.Contains(names, at) {
			v.Report(key+".promotes", fmt.Sprintf("%s.promotes is %q, which there is not", key, at), strict.Suggest(at, names))
			return
		}
		if seen[at] {
			v.Report(key+".promotes", fmt.Sprintf("%s.promotes leads back to itself", key), "one environment must come first")
			return
		}
		seen[at] = true
	}
}

// ports must be free for environments that live side by side on one host.
func (v *validator) ports(key, name string, names []string) {
	e := v.project.Environments[name]
	mine := []struct {
		name string
		port int
	}{{"proxy", e.Ports.Proxy}, {"mlflow", e.Ports.MLflow}, {"airflow", e.Ports.Airflow}}
	for i, p := range mine {
		at := key + ".ports." + p.name
		v.within(at, float64(p.port), 1, 65535, "it is a port of the target")
		for _, earlier := range mine[:i] {
			if earlier.port == p.port {
				v.Report(at, fmt.Sprintf("%s is %d, as %s is", at, p.port, earlier.name), "give each its own")
			}
		}
		for _, other := range names[:slices.Index(names, name)] {
			o := v.project.Environments[other]
			if v.Written(at) && o.DockerContext == e.DockerContext && slices.Contains([]int{o.Ports.Proxy, o.Ports.MLflow, o.Ports.Airflow}, p.port) {
				v.Report(at, fmt.Sprintf("%s is %d, which %s has on the same engine", at, p.port, other), "give each environment ports of its own")
			}
		}
	}
}

func (v *validator) rollout(key string, e Environment) {
	if len(e.Steps) == 0 || e.Steps[len(e.Steps)-1].Weight != 100 {
		v.Report(key+".steps", key+".steps does not end with a weight of 100", "the last step gives the new release all traffic, and watches it")
	}
	for i, step := range e.Steps {
		at := fmt.Sprintf("%s.steps[%d]", key, i)
		v.within(at+".weight", float64(step.Weight), 1, 100, "it is per cent of the traffic")
		if i > 0 && step.Weight <= e.Steps[i-1].Weight {
			v.Report(at+".weight", fmt.Sprintf("%s.weight is %d, not more than the step before", at, step.Weight), "each step has more traffic than the last")
		}
		v.positive(at+".window", step.Window)
		if step.Deadline < step.Window {
			v.Report(at+".deadline", fmt.Sprintf("%s.deadline is %s, before the window's end", at, step.Deadline.Std()), "give it at least the window's time")
		}
	}
	j, at := e.Judge, key+".judge"
	v.between(at+".alpha", j.Alpha, 0, 0.05, "it is the probability of a false alarm")
	v.between(at+".guard", j.Guard, 0, 0.99, "it is a rate of errors")
	v.within(at+".requests", float64(j.Requests), 1, 1e9, "none would prove nothing")
	v.within(at+".slower", j.Slower, 0, 100, "0 does not judge latency")
	if len(j.Predictions) > 0 {
		v.between(at+".shift", j.Shift, 0, 0.99, "it is a distance of distributions")
	}
	for i, name := range j.Predictions {
		if !histogram.MatchString(name) {
			v.Report(fmt.Sprintf("%s.predictions[%d]", at, i), fmt.Sprintf("%q is no name of a histogram", name), "write it as /metrics has it: prediction_units_kwh")
		}
	}
	t, at := e.Times, key+".times"
	for _, time := range []struct {
		key string
		d   Duration
	}{{"pull", t.Pull}, {"migrate", t.Migrate}, {"ready", t.Ready}, {"smoke", t.Smoke}, {"replace", t.Replace}, {"verify", t.Verify}, {"drain", t.Drain}, {"blind", t.Blind}, {"poll", t.Poll}} {
		v.positive(at+"."+time.key, time.d)
	}
	v.within(key+".synthetic.rate", e.Synthetic.Rate, 0, 1000, "0 sends none")
}

// between is more than low, and at most high.
func (v *validator) between(key string, value, low, high float64, why string) {
	if math.IsNaN(value) || value <= low || value > high {
		v.Report(key, fmt.Sprintf("%s is %v", key, value), fmt.Sprintf("choose more than %v and at most %v; %s", low, high, why))
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
