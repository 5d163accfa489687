package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// one is an environment with that in it.
func one(text string) string { return "environments:\n  one:\n    " + text + "\n" }

func TestDeployRefuses(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"state is relative", "deploy: {state: var/lib}\n", `pipeline.yaml:1:17: deploy.state is "var/lib": write an absolute path of the target`},
		{"state is the root", "deploy: {state: /}\n", "deploy.state"},
		{"image with a blank", "deploy: {postgres: \"postgres 15\"}\n", "deploy.postgres"},
		{"missing Compose file", "deploy: {compose: docker/nothing.yaml}\n", "no such file or directory"},
		{"what serves is no image", "deploy: {serves: model_api}\n", `deploy.serves is "model_api"`},
		{"service name", "deploy: {once: {Airflow!: airflow}}\n", `"Airflow!" is no name for a service`},
		{"secret's name", "deploy: {secrets: {api: {user: 1, names: [lower]}}}\n", `"lower" is no name for a variable`},
		{"secret's user", "deploy: {secrets: {api: {user: -1, names: [A]}}}\n", "deploy.secrets.api.user is -1"},
		{"secret twice", "deploy: {secrets: {api: {user: 1, names: [A, A]}}}\n", "which there is already"},
		{"context like an option", one(`docker_context: "--help"`), "write a name that `docker context ls` lists"},
		{"address", one("publish: everywhere"), `environments.one.publish is "everywhere", no address`},
		{"port", one("ports: {proxy: 0}"), "environments.one.ports.proxy is 0: choose 1 to 65535"},
		{"two parts on one port", one("ports: {proxy: 5000}"), "as proxy is: give each its own"},
		{"two environments on one port", "environments:\n  a: {ports: {proxy: 1, mlflow: 2, airflow: 3}}\n  b:\n    ports: {proxy: 4, mlflow: 1, airflow: 6}\n", "pipeline.yaml:4:31: environments.b.ports.mlflow is 1, which a has on the same engine"},
		{"gate of no policy", one("gate: production"), "environments.one.gate"},
		{"promotes nothing", one("promotes: two"), `environments.one.promotes is "two", which there is not`},
		{"promotes itself", one("promotes: one"), "leads back to itself"},
		{"promotes in a circle", "environments:\n  a: {promotes: b, ports: {proxy: 1, mlflow: 2, airflow: 3}}\n  b: {promotes: a}\n", "leads back to itself"},
		{"two for a branch", "environments:\n  a: {branch: main, ports: {proxy: 1, mlflow: 2, airflow: 3}}\n  b: {branch: main}\n", `environments.b.branch is "main", as that of a is`},
		{"generated and no secret", one("generated: [A_PASSWORD]"), "which is no secret of it"},
		{"no last step", one("steps: [{weight: 50, window: 1s, deadline: 2s}]"), "does not end with a weight of 100"},
		{"steps go down", one("steps: [{weight: 50, window: 1s, deadline: 2s}, {weight: 20, window: 1s, deadline: 2s}, {weight: 100, window: 1s, deadline: 2s}]"), "environments.one.steps[1].weight is 20, not more than the step before"},
		{"weight of nothing", one("steps: [{weight: 0, window: 1s, deadline: 2s}, {weight: 100, window: 1s, deadline: 2s}]"), "weight is 0: choose 1 to 100"},
		{"deadline before the end", one("steps: [{weight: 100, window: 3s, deadline: 2s}]"), "before the window's end"},
		{"alpha", one("judge: {alpha: 0.5}"), "environments.one.judge.alpha is 0.5: choose more than 0 and at most 0.05"},
		{"guard", one("judge: {guard: 0}"), "environments.one.judge.guard is 0"},
		{"no requests", one("judge: {requests: 0}"), "none would prove nothing"},
		{"histogram", one("judge: {predictions: [\"a b\"]}"), "no name of a histogram"},
		{"no time", one("times: {poll: 0s}"), "environments.one.times.poll is 0s"},
		{"load", one("synthetic: {rate: -1}"), "environments.one.synthetic.rate is -1"},
		{"unknown key", one("step: []"), `did you mean "steps"?`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(project(t, tc.yaml))
			if _, ok := errors.AsType[Problems](err); !ok || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%v\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
}

func TestEnvironmentHasDefaults(t *testing.T) {
	p, err := Load(project(t, one("judge: {guard: 0.2}\n    times: {poll: 2s}")))
	if err != nil {
		t.Fatal(err)
	}
	e, d := p.Environments["one"], defaultEnvironment()
	if e.Judge.Guard != 0.2 || e.Judge.Alpha != d.Judge.Alpha || e.Times.Poll.Std() != 2*time.Second || e.Times.Pull != d.Times.Pull {
		t.Errorf("judge %+v, times %+v", e.Judge, e.Times)
	}
	if len(e.Steps) != len(d.Steps) || e.Publish != "127.0.0.1" || e.Ports != d.Ports {
		t.Errorf("steps %v, publish %q, ports %+v", e.Steps, e.Publish, e.Ports)
	}
}

// Production's own settings: what the documentation promises of them.
func TestOwnProductionAsksForWhatIsPromised(t *testing.T) {
	p, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	e := p.Environments["production"]
	var weights []int
	for _, step := range e.Steps {
		weights = append(weights, step.Weight)
	}
	if !slices.Equal(weights, []int{5, 25, 50, 100}) || e.Promotes != "staging" || e.Branch != "main" || p.Environments["staging"].Branch != "develop" {
		t.Errorf("weights %v, promotes %q, branch %q", weights, e.Promotes, e.Branch)
	}
	policy := p.Evidence.Policies[e.Gate]
	if policy.Stages["quality"].Minimum["pylint_score"] != 8 || policy.Stages["unit"].Minimum["tests_passed"] < 1 || policy.Stages["unit"].Warnings {
		t.Errorf("the policy %q is laxer than promised", e.Gate)
	}
	for _, stage := range []string{"quality", "security", "unit", "image", "data", "integration", "benchmark", "staging"} {
		if _, named := policy.Stages[stage]; !named {
			t.Errorf("the policy %q does not ask for %s", e.Gate, stage)
		}
	}
	for name, secrets := range p.OwnSecrets("production") {
		for _, secret := range secrets {
			if !slices.Contains(e.Required, secret) {
				t.Errorf("%s reads %s, which production does not require", name, secret)
			}
		}
	}
}
