package trial

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
)

const (
	serving = "model_api" // name of the image that serves
	// releaseHeader tells which release an answer of the trivial server came from.
	releaseHeader = "X-Release"
	schema        = "0001"
)

// A stack is what a site runs: docker/compose.yaml with a file beside it that fits it to the images.
type stack struct {
	override  string // compose.<environment>.yaml
	questions []load.Question
}

// bundle is what a deployer would put there, but for the settings.
func (k stack) bundle(s *Site) (remote.Bundle, error) {
	b := remote.Bundle{"compose." + s.target.Environment + ".yaml": []byte(k.override)}
	for name, path := range map[string]string{
		"compose.yaml": "docker/compose.yaml", "haproxy.cfg.tmpl": "docker/proxy/haproxy.cfg.tmpl", "smoke.py": "scripts/smoke.py",
	} {
		content, err := os.ReadFile(filepath.Join(s.lab.Root, filepath.FromSlash(path)))
		if err != nil {
			return nil, fmt.Errorf("make a bundle: %w", err)
		}
		b[name] = content
	}
	b["environment"] = fmt.Appendf(nil, "POSTGRES_IMAGE=%s\nPROXY_IMAGE=%s\nPROXY_PORT=%d\nMLFLOW_PORT=%d\nAIRFLOW_PORT=%d\nPUBLISH_ADDRESS=127.0.0.1\n",
		s.lab.standins["postgres"], s.lab.standins["proxy"], s.port, 0, 0)
	return b, nil
}

// secrets are made up for each site, each a canary that is in nothing else.
func (k stack) secrets() (secrets wire.Secrets, canaries map[string]string) {
	canaries = map[string]string{}
	value := func(name string) string {
		if canaries[name] == "" {
			canaries[name] = random()
		}
		return canaries[name]
	}
	of := func(uid int, names ...string) wire.ServiceSecrets {
		all := wire.ServiceSecrets{UID: uid, Values: map[string]string{}}
		for _, name := range names {
			all.Values[name] = value(name)
		}
		return all
	}
	secrets = wire.Secrets{
		"postgres":  of(999, "POSTGRES_PASSWORD", "METER_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "AIRFLOW_DB_PASSWORD"),
		"model-api": of(10001, "METER_DB_PASSWORD"),
		"mlflow":    of(10001, "MLFLOW_DB_PASSWORD"),
		"airflow":   of(10001, "AIRFLOW_DB_PASSWORD", "METER_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD"),
	}
	secrets["model-api"].Values["DATABASE_URL"] = "postgresql://meter:" + url.QueryEscape(value("METER_DB_PASSWORD")) + "@postgres:5432/meter"
	return secrets, canaries
}

// random is a key as Airflow wants one, and so good for anything.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return base64.URLEncoding.EncodeToString(b)
}

// trivial is the stack with the trivial server, and nothing that runs once beside it but PostgreSQL.
func (l *Lab) trivial() stack {
	k := stack{override: composetest.Override}
	for i := range 1000 {
		k.questions = append(k.questions, trivialQuestion(i))
	}
	return k
}

// trivialQuestion knows the answer by the formula.
func trivialQuestion(i int) load.Question {
	body := known.Body(i)
	var request known.Request
	if err := json.Unmarshal(body, &request); err != nil {
		return load.Question{Body: body, Right: func([]byte) error { return err }}
	}
	units, probability := known.Predict(request)
	return load.Question{Body: body, Right: rightly(units, probability)}
}

// rightly judges an answer of POST /predict by what it must say.
func rightly(units, probability float64) func([]byte) error {
	return func(answer []byte) error {
		var got struct {
			Units       *float64 `json:"units_kwh"`
			Probability *float64 `json:"high_consumption_probability"`
		}
		if err := json.Unmarshal(answer, &got); err != nil || got.Units == nil || got.Probability == nil {
			return fmt.Errorf("with an answer that is none: %s", shorten(string(answer), 100))
		}
		const near = 1e-9
		if math.Abs(*got.Units-units) > near || math.Abs(*got.Probability-probability) > near {
			return fmt.Errorf("with a wrong answer")
		}
		return nil
	}
}

// trivialRelease makes an image of the trivial server, and the revision that serves it. Knobs say how it is bad.
func (l *Lab) trivialRelease(ctx context.Context, name string, knobs composetest.Knobs) (rollout.Revision, error) {
	program, err := l.server(ctx)
	if err != nil {
		return rollout.Revision{}, err
	}
	all := composetest.Knobs{"GIT_SHA": name, "SERVER_SCHEMA": schema}
	for k, v := range knobs {
		all[k] = v
	}
	registry := composetest.Registry{Host: l.registry, Binary: program}
	image, err := registry.Push(ctx, "trial/"+serving, all)
	if err != nil {
		return rollout.Revision{}, err
	}
	return revision(name, map[string]string{serving: image, "airflow": image, "mlflow": image}), nil
}

func revision(name string, images map[string]string) rollout.Revision {
	image := images[serving]
	return rollout.Revision{Release: name, Digest: image[len(image)-len("sha256:")-64:], Images: images, Schema: schema}
}

// server is the trivial server's program.
func (l *Lab) server(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.program != nil {
		return l.program, nil
	}
	r, err := composetest.Serve(ctx, l.runner, l.Root, l.Env)
	if err != nil {
		return nil, err
	}
	l.program = r.Binary
	return l.program, r.Close() // the lab has a registry that is more like a real one
}

// settings are a roll-out in four steps with windows of that length.
func settings(window time.Duration) wire.Settings {
	steps := make([]wire.Step, 0, 4)
	for _, weight := range []int{5, 25, 50, 100} {
		steps = append(steps, wire.Step{Weight: weight, Window: wire.Duration(window), Deadline: wire.Duration(3 * window)})
	}
	second := func(n float64) wire.Duration { return wire.Duration(n * float64(time.Second)) }
	return wire.Settings{
		Gate: wire.GateOptional, Serving: serving, Services: map[string]string{},
		Times: wire.Times{
			Pull: second(60), Migrate: second(60), Ready: second(40), Smoke: second(20), Replace: second(60), Verify: second(60),
			Drain: second(20), Blind: second(30), Poll: second(0.5),
		},
		Judge: wire.Plan{
			Steps: steps, Alpha: 0.001, Guard: 0.05, MinRequests: 50, Slower: 0.5, Shift: 0.15,
			Predictions: []string{"prediction_units_kwh", "prediction_high_probability"},
		},
	}
}
