package config

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path"
	"regexp"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

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
