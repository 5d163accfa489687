package main

import (
	"fmt"
	"io"
	"sort"
	"sync"
)

// buckets of each histogram: fine and fixed, as model_api's.
const buckets = 100

// metrics are the two histograms, in Prometheus' text format.
type metrics struct {
	mu                 sync.Mutex
	units, probability histogram
}

type histogram struct {
	counts [buckets + 1]uint64 // the last is of what is above all bounds
	sum    float64
}

func (h *histogram) observe(value, width float64) {
	h.counts[sort.Search(buckets, func(i int) bool { return value <= width*float64(i+1) })]++
	h.sum += value
}

func (h *histogram) write(w io.Writer, name string, width float64) {
	fmt.Fprintf(w, "# TYPE %s histogram\n", name)
	total := uint64(0)
	for i, n := range h.counts {
		total += n
		bound := fmt.Sprint(width * float64(i+1))
		if i == buckets {
			bound = "+Inf"
		}
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, bound, total)
	}
	fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, h.sum, name, total)
}

const (
	unitsWidth       = 0.05
	probabilityWidth = 0.01
)

func (m *metrics) observe(units, probability float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units.observe(units, unitsWidth)
	m.probability.observe(probability, probabilityWidth)
}

func (m *metrics) write(w io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units.write(w, "prediction_units_kwh", unitsWidth)
	m.probability.write(w, "prediction_high_probability", probabilityWidth)
}
