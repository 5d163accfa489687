package main

import (
	"math/rand/v2"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// oneLook is how many requests Fisher's exact test needs at 5 % for a power of 0.9, if it may spend all of alpha at one
// look whose time is chosen with the size of the defect in mind: what no test of several looks can beat.
func (s Setting) oneLook(defect float64) int64 {
	const draws = 4000
	power := func(n int64) float64 {
		random := rand.New(rand.NewPCG(s.Seed, uint64(n))) //nolint:gosec // a simulation, repeatable by its seed
		seen := 0
		for range draws {
			r := release{random: random, rate: s.Rate}
			base := s.base(random)
			c := judge.Counts{Requests: n, BlueRequests: 19 * n}
			c.Errors = r.binomial(n, 1-(1-base)*(1-defect))
			c.BlueErrors = r.binomial(19*n, base)
			if judge.Fisher(c) <= 0.001 {
				seen++
			}
		}
		return float64(seen) / draws
	}
	low, high := int64(1), int64(2000) // power rises with n, but for the small steps of a discrete test
	for low < high {
		if n := (low + high) / 2; power(n) >= 0.9 {
			high = n
		} else {
			low = n + 1
		}
	}
	return low
}
