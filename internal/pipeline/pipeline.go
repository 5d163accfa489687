// Package pipeline says which stages make a run, and wires the engine to the real world: the one runner, the
// provisioner, the reporters, the history.
//
// It stands between the targets, which only name what is wanted, and the stages, which judge. Everything that is read
// from outside (environment, terminal, working directory) is read here, once, and handed on as values.
package pipeline

import (
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/benchmark"
	"github.com/meter-ml/meter-pipeline/internal/stage/data"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/stage/integration"
	"github.com/meter-ml/meter-pipeline/internal/stage/quality"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
	"github.com/meter-ml/meter-pipeline/internal/stage/selftest"
	"github.com/meter-ml/meter-pipeline/internal/stage/unit"
)

// A Recipe names the stages of a run, in the order in which they are shown. Host lets a stage know where it runs.
type Recipe func(Host) []engine.Stage

// Check is what a push must pass and needs no container engine.
func Check() Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			quality.New(),                                    // 1: cheap, and most often wrong
			security.New(h.Now()),                            // 2: source, requirements, secrets
			unit.New(unit.Options{Now: h.Now()}),             // 3: tests and their coverage
			data.New(dataOptions(h)),                         // 5: every data set against its contract
			integration.New(integration.Options{Get: h.Get}), // 6: the whole way from data to prediction
			benchmark.New(benchmark.Options{Models: trainedBy, Now: h.Now()}), // 7: how fast it is, alone on the machine
		}
	}
}

// DataFile judges one file against one descriptor.
func DataFile(file, descriptor string) Recipe {
	return func(h Host) []engine.Stage { return []engine.Stage{data.NewFile(dataOptions(h), file, descriptor)} }
}

// DataBaseline stores the profiles of the data sets whose drift is judged.
func DataBaseline() Recipe {
	return func(h Host) []engine.Stage { return []engine.Stage{data.NewBaseline(dataOptions(h))} }
}

func dataOptions(h Host) data.Options { return data.Options{Get: h.Get, Now: h.Now()} }

// Integration is the system as a whole; with champion, its model is stored as what later ones are compared with.
func Integration(champion bool) Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{integration.New(integration.Options{Get: h.Get, Champion: champion})}
	}
}

// Benchmark is how fast the system is. Like all of its kin it has the stage beside it that trains the models.
func Benchmark() Recipe { return withModels(benchmark.New) }

// BenchmarkBaseline stores what is measured, for later runs to be compared with.
func BenchmarkBaseline() Recipe { return withModels(benchmark.NewBaseline) }

// BenchmarkProfile draws where the time goes in a measure, or in the one that is nearest to its limit.
func BenchmarkProfile(measure string) Recipe {
	return withModels(func(o benchmark.Options) engine.Stage { return benchmark.NewProfile(o, measure) })
}

// Image builds and judges images.
func Image(options image.Options) Recipe {
	return func(h Host) []engine.Stage {
		options.Today = h.Now()
		return []engine.Stage{image.New(options)}
	}
}

// ImageRelease builds images with the model that it trains, judges and pushes them, and names them by branch and version
// once integration and benchmark have passed: a red run burns no version.
func ImageRelease(push image.PushOptions) Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			image.New(image.Options{Models: trainedBy, Today: h.Now(), Deliver: &image.Delivery{Get: h.Get, PushOptions: push}}),
			integration.New(integration.Options{Get: h.Get}),
			benchmark.New(benchmark.Options{Models: trainedBy, Now: h.Now()}),
		}
	}
}

// ImageCandidate judges images with the model that it trains, and the system in them, and delivers nothing: what a pull
// request gets.
func ImageCandidate() Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			image.New(image.Options{Models: trainedBy, Today: h.Now()}),
			integration.New(integration.Options{Get: h.Get}),
			benchmark.New(benchmark.Options{Models: trainedBy, Now: h.Now()}),
		}
	}
}

// trainedBy is the step that hands the trained models on.
const trainedBy = "integration:quality"

func withModels(stage func(benchmark.Options) engine.Stage) Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			integration.New(integration.Options{Get: h.Get}),
			stage(benchmark.Options{Models: trainedBy, Now: h.Now()}),
		}
	}
}

// Unit is the unit tests; with rerun, those that fail are run once more.
func Unit(rerun bool) Recipe {
	return func(h Host) []engine.Stage { return []engine.Stage{unit.New(unit.Options{Now: h.Now(), Rerun: rerun})} }
}

// Fix formats the source in place.
func Fix() Recipe {
	return func(Host) []engine.Stage { return []engine.Stage{quality.NewFix()} }
}

// TestDeploys builds the images, and puts deploys of them through what can happen to deploys.
func TestDeploys() Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			integration.New(integration.Options{Get: h.Get}),
			image.New(image.Options{Models: trainedBy, Today: h.Now()}),
			selftest.Deploys{After: []string{"image"}},
		}
	}
}

// Tests is everything that this repository tests of itself.
func Tests() Recipe {
	return func(h Host) []engine.Stage {
		return []engine.Stage{
			selftest.Go{CI: h.CI()},     // the pipeline
			selftest.Python{CI: h.CI()}, // the system that it builds
		}
	}
}
