package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (r Results) markdown() string {
	var b strings.Builder
	s := r.Setting
	fmt.Fprintf(&b, `# What the judge of a canary sees

Written by `+"`go run ./internal/rollout/judge/simulate`"+` (seed %d, %s). Made-up releases with random
traffic, %.0f requests a second on both sides, and base rates of errors between %.2g %% and %.2g %% that
both sides have (uniform in the logarithm). Alpha is 0.001 for a whole release. A window has 60 s, its
deadline is 180 s; looks are at 1, 1.6, 2.3, … 40, 60, … 180 s.

## Detection

Green fails so many of its requests on top of the base rate, and has 5 %% of the traffic. Requests are
green's until the look that raised the alarm, in nine of ten releases (power 0.9) and in half of them.
"One look" is Fisher's exact test against blue with all of alpha at a single look, placed by somebody who
knows the defect: about what a test with several looks can hope for. The aim is what one look needs against
a base rate that is *known* to be 0.1 %%.

| errors | releases | aim | one look | power 0.9 | half | seen within 60 s | by 180 s |
|---:|---:|---:|---:|---:|---:|---:|---:|
`, s.Seed, s.Go, s.Rate, 100*s.LowBase, 100*s.HighBase)
	for _, d := range r.Detection {
		power := fmt.Sprint(d.AtPower)
		if d.AtPower == 0 {
			power = "not reached"
		}
		fmt.Fprintf(&b, "| %.0f %% | %d | %d | %d | %s | %d | %.2f %% | %.2f %% |\n",
			100*d.Defect, d.Releases, d.Aim, d.OneLook, power, d.Median, 100*d.InWindow, 100*d.ByDeadline)
	}
	b.WriteString(`
## False alarms

Healthy releases through 5, 25, 50 and 100 %, each look counted. The bound is the one-sided 95 % one of
Clopper and Pearson; the aim is 0.1 % at most.

| what is judged | releases | stopped | rate | at most | by |
|---|---:|---:|---:|---:|---|
`)
	for _, h := range r.Healthy {
		var by []string
		for _, name := range slices.Sorted(maps.Keys(h.By)) {
			by = append(by, fmt.Sprintf("%s %d", name, h.By[name]))
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %.4f %% | %.4f %% | %s |\n", h.What, h.Releases, h.Alarms, 100*h.Rate, 100*h.Upper, strings.Join(by, ", "))
	}
	return b.String()
}
