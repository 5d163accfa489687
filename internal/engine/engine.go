// Package engine runs stages and says what became of them.
//
// It is the bottom of the import graph: it knows stages, steps, findings and metrics, and declares the small
// interfaces that it calls (Runner, Provider, Reporter). Package pipeline wires the real ones to it. The engine
// never knows which tool a step runs, nor what its output means: between a Command's arguments and its Parse
// function there is the one Runner, and nothing else.
package engine

import "github.com/meter-ml/meter-pipeline/internal/config"

// A Stage judges one thing. A Finding says that the code is wrong; an error says that the stage could not judge it.
type Stage interface {
	Name() string
	// Steps says what will run, with its inputs: enough for a plan, for a reason why, and for a cache.
	// It starts nothing and reads no more than it needs to know which steps there are.
	Steps(*config.Project) ([]Step, error)
}
