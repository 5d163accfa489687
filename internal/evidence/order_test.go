package evidence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// passesOfOneMoment are so many that no order but the right one would put a failure first.
func passesOfOneMoment(w *world) {
	for i := range 30 {
		w.judge(w.key, func(run *engine.Run) {
			only("unit", func(*engine.StageResult) {})(run)
			run.ID = fmt.Sprintf("run-%d", i)
		})
	}
}

// What has the bad one first, last, merged or beside it.
func TestDuplicates(t *testing.T) {
	newerFailure := func(w *world) { w.judge(w.key, only("unit", later(time.Minute, fails))) }
	for _, a := range []attack{
		{"a newer failure", newerFailure, "unit: found the verdict failed", func(w *world) {
			w.judge(w.key, only("unit", later(-time.Minute, fails))) // it was mended since
		}},
		{"a newer failure of a part", func(w *world) {
			w.judge(w.key, only("quality", later(time.Minute, func(s *engine.StageResult) { s.Steps = s.Steps[:1]; fails(s) })))
		}, "quality:black: found failed", func(w *world) {
			w.judge(w.key, only("quality", later(time.Minute, func(s *engine.StageResult) { s.Steps = s.Steps[:1] })))
		}},
		{"a newer part that is not good enough", func(w *world) {
			w.judge(w.key, only("quality", later(time.Minute, func(s *engine.StageResult) {
				s.Steps = s.Steps[1:]
				metric("pylint_score", 7.5)(s)
			})))
		}, "pylint_score 7.5", func(w *world) {
			w.judge(w.key, only("quality", later(time.Minute, func(s *engine.StageResult) { s.Steps = s.Steps[1:] })))
		}},
		{"a failure among passes of the same moment", func(w *world) {
			w.judge(w.key, only("unit", fails))
			passesOfOneMoment(w)
		}, "unit: found the verdict failed", passesOfOneMoment},
		{"two halves that passed, of two runs", func(w *world) {
			w.drop("quality")
			w.judge(w.key, only("quality", func(s *engine.StageResult) { s.Steps = s.Steps[:1] }))
			w.judge(w.key, only("quality", later(time.Minute, func(s *engine.StageResult) { s.Steps = s.Steps[1:] })))
		}, "quality:black: found a run without this step", unchanged},
		{"one step twice, the bad one first", func(w *world) {
			replaceStage("unit", func(s *engine.StageResult) {
				bad := s.Steps[0]
				bad.Judgement.Judged = 0
				s.Steps = append([]engine.StepResult{bad}, s.Steps...)
			})(w)
		}, "it holds the step pytest twice", unchanged},
		{"the newest of another builder", func(w *world) {
			w.drop("unit")
			w.place.Builder = BuilderSelfHosted
			w.judge(w.key, only("unit", func(*engine.StageResult) {}))
		}, "which the policy does not name", func(w *world) {
			w.place.Builder = BuilderSelfHosted
			w.judge(w.key, only("unit", later(time.Minute, fails))) // whom the policy does not name can't disprove either
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			a.run(t)
			w := newWorld(t)
			a.attack(w)
			want := w.verify()
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, 1))
				random.Shuffle(len(w.found), func(i, j int) { w.found[i], w.found[j] = w.found[j], w.found[i] })
				if diff := cmp.Diff(want, w.verify(), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("the order of the bundles matters (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestTheSameStatementTwiceCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.found = append(w.found, w.found...)
	if verdict := w.verify(); !verdict.Met || len(verdict.Accepted) != 8 {
		t.Errorf("%d accepted:\n%s", len(verdict.Accepted), text(verdict))
	}
}
