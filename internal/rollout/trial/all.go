package trial

import (
	"fmt"
	"time"
)

// All are the trials, in the order in which they are shown.
func All() []Trial {
	trivial := (*Lab).trivial
	all := []Trial{
		shiftTrial("trivial at 1000/s", 1000, 20000, 12*time.Second, trivial, trivialRelease),
		plainTrial("contrast: compose up -d with trivial at 200/s", 200, trivial, trivialRelease),
	}
	for _, weight := range []int{5, 25, 50, 100} {
		all = append(all, backTrial(fmt.Sprintf("back from %d %% with trivial at 1000/s", weight), 1000, weight, 20000, trivial, trivialRelease))
	}
	for _, b := range bads() {
		all = append(all, badTrial(b))
	}
	return append(all, healthyTrial(20))
}
