// Package selftest judges this repository itself: what `mage test` runs beside the gates of a push.
//
// It has two stages: Go (vet, lint, tests with the race detector, images on a real engine, the record of the trials of deploys) and Python (types, all tests, the DAGs in Airflow's
// own environment). Unlike the other stages it knows this repository, since nothing else is ever judged by it.
package selftest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bitfield/script"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// timeout bounds one step: on a new machine the tools that images are built and verified with are compiled first.
const timeout = 50 * time.Minute

// Go judges the pipeline's own code. In CI a skipped test is a finding.
type Go struct{ CI bool }

// Name of the stage.
func (Go) Name() string { return "go" }

// Steps of the stage.
func (g Go) Steps(p *config.Project) ([]engine.Step, error) {
	module, err := modulePath(filepath.Join(p.Root, "go.mod"))
	if err != nil {
		return nil, err
	}
	return []engine.Step{vetStep(), lintStep(), goTestStep(module, g.CI), imageTestStep(module, g.CI), recordStep()}, nil
}

// modulePath reads the module's path, which test output names packages by.
func modulePath(file string) (string, error) {
	line, err := script.File(file).Match("module ").First(1).Column(2).String()
	path := strings.TrimSpace(line)
	if err == nil && path == "" {
		err = errors.New("it has no module line")
	}
	if err != nil {
		return "", fmt.Errorf("read module path of %s: %w", file, err)
	}
	return path, nil
}
