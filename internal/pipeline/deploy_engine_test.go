package pipeline

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

func TestEngineDeploys(t *testing.T) {
	y := newYard(t, machine.Get(t))
	staging := DeployRequest{Target: "deploy:staging", Environment: y.staging, Stage: "staging", Reason: "a first release"}
	production := DeployRequest{Target: "deploy:production", Environment: y.production, Stage: "production"}
	y.build(nil)
	_ = production
	y.run(Deploy(staging))
	y.run(DeployStatus(y.staging, false))
	y.leaks()
	_ = errors.New
	_ = strings.ToLower
}
