package trial

import (
	"fmt"
	"time"
)

// All are the trials, in the order in which they are shown.
func All() []Trial {
	var all []Trial
	for run := range 3 {
		all = append(all, shiftTrial(fmt.Sprintf("real model_api at 200/s: run %d", run+1), 200, 20000, realKind(22*time.Second)))
	}
	all = append(all, shiftTrial("trivial at 1000/s", 1000, 20000, trivialKind(12*time.Second)))
	for _, weight := range []int{5, 25, 50, 100} {
		all = append(all, backTrial(fmt.Sprintf("real model_api at 200/s: back from %d %%", weight), 200, weight, 20000, realKind(6*time.Second)))
	}
	all = append(all, manualTrial("real model_api at 200/s: back by hand when done", 200, 20000, realKind(6*time.Second)))
	for _, weight := range []int{5, 25, 50, 100} {
		all = append(all, backTrial(fmt.Sprintf("trivial at 1000/s: back from %d %%", weight), 1000, weight, 20000, trivialKind(6*time.Second)))
	}
	all = append(all,
		plainTrial("contrast: compose up -d with real model_api at 200/s", 200, realKind(0)),
		plainTrial("contrast: compose up -d with trivial at 1000/s", 1000, trivialKind(0)),
	)
	for _, b := range bads() {
		all = append(all, badTrial(b))
	}
	all = append(all, healthyTrial(20), killTrial(), abandoned(), rivals(), unreached())
	for _, f := range faults() {
		all = append(all, faultTrial(f))
	}
	return append(all, engineTrial(false), engineTrial(true), refuseTrial(), stackTrial(), secretTrial(), workflowTrial())
}
