package dataset

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// grids are the phases that most instants of each series have, the earlier one of two that are as frequent. Nil if there
// are too many to tell: then each series' first instant is on its grid.
func (f *file) grids() map[uint32]int64 {
	sum := map[phase]int64{}
	for _, w := range f.workers {
		for p, n := range w.series.phases {
			sum[p] += *n
		}
		if len(sum) > mostPhases {
			return nil
		}
	}
	type best struct {
		second, count int64
	}
	most := map[uint32]best{}
	for p, n := range sum {
		if b := most[p.series]; n > b.count || n == b.count && p.second < b.second {
			most[p.series] = best{p.second, n}
		}
	}
	grids := make(map[uint32]int64, len(most))
	for id, b := range most {
		grids[id] = b.second
	}
	return grids
}

// A grid is one series while its instants go by.
type grid struct {
	id     uint32
	phase  int64
	first  int64 // slot
	last   int64 // slot
	number int64 // of the record at last
}

// A gapReport is what is found in all series.
type gapReport struct {
	slots, absent, gaps, off int64
	firstGaps, firstOff      firsts
}

// judgeSeries goes through all instants in order.
func (f *file) judgeSeries(ctx context.Context) error {
	s := f.plan.series
	if s == nil || f.records == 0 {
		return nil
	}
	grids := f.grids()
	r := gapReport{firstGaps: firsts{keep: f.options.Keep}, firstOff: firsts{keep: f.options.Keep}}
	var g *grid
	for record, err := range s.sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		id := uint32(record.Key >> (secondBits + 1))
		second, number := int64(record.Key>>1&(1<<secondBits-1))+yearOne, f.number(record.Row)
		isNew := g == nil || g.id != id
		if isNew {
			r.close(g)
			g = &grid{id: id, phase: modulo(second, s.every)}
			if grids != nil {
				g.phase = grids[id]
			}
		}
		// An instant off the grid fills the nearest slot, so that it is not told as a gap too.
		slot, _ := floorDivide(second-g.phase+s.every/2, s.every)
		if record.Key&1 != 0 || modulo(second-g.phase, s.every) != 0 {
			r.off++
			r.firstOff.add(f.offGrid(s, g, number))
		}
		if isNew {
			g.first, g.last = slot, slot
		}
		if slot > g.last+1 {
			r.gaps++
			r.absent += slot - g.last - 1
			r.firstGaps.add(f.gap(s, g, slot, number))
		}
		g.last, g.number = slot, number
	}
	r.close(g)
	f.endSeries(s, &r)
	return nil
}

func (r *gapReport) close(g *grid) {
	if g != nil {
		r.slots += g.last - g.first + 1
	}
}

func (f *file) endSeries(s *seriesSpec, r *gapReport) {
	name, limit := joined(s.time), f.contract.Quality.Interval.MaxGap
	share := float64(r.absent) / float64(max(r.slots, 1))
	f.measure(Measure{Name: "gap_share", Column: name, Value: share, Limit: limit})
	if r.slots == 0 {
		f.findings.say(Finding{
			Rule: RuleInterval, Column: name, Message: "no row has an instant, so that no interval can be judged",
			Help: "correct the column",
		})
	}
	if r.off > 0 {
		f.findings.counts[about{RuleInterval, name}] += r.off
		f.late = append(f.late, r.firstOff.sorted()...)
	}
	if share > limit {
		f.findings.counts[about{RuleGaps, name}] += r.gaps
		for _, l := range r.firstGaps.sorted() {
			l.Message += fmt.Sprintf("; %s of all are absent, at most %s may be", percent(share), percent(limit))
			f.late = append(f.late, l)
		}
	}
}

func (s *seriesSpec) late(rule string, number int64, message, help string) *late {
	return &late{
		Finding: Finding{Rule: rule, Column: joined(s.time), Field: position(s.time), Message: message, Help: help},
		number:  number, other: -1, columns: s.time,
	}
}

// in says of which series, if there are several.
func (s *seriesSpec) in(g *grid) string {
	if name := s.names[g.id]; name != "" {
		return name + ": "
	}
	return ""
}

func (f *file) offGrid(s *seriesSpec, g *grid, number int64) *late {
	every := time.Duration(s.every) * time.Second
	message := s.in(g) + "the instant is not a whole number of intervals of " + every.String() + " from the others"
	return s.late(RuleInterval, number, message, "correct the instant, or the interval in the contract")
}

func (f *file) gap(s *seriesSpec, g *grid, slot, number int64) *late {
	from, to, n := g.phase+(g.last+1)*s.every, g.phase+(slot-1)*s.every, slot-g.last-1
	message := fmt.Sprintf("%sthe %d instants from %s to %s are absent before this row", s.in(g), n, instant(from), instant(to))
	if n == 1 {
		message = fmt.Sprintf("%sthe instant %s is absent before this row", s.in(g), instant(from))
	}
	return s.late(RuleGaps, number, message, "see why the readings did not arrive")
}

// instant as a person reads it: in UTC, or on the clock of the file if that has no zones.
func instant(second int64) string { return time.Unix(second, 0).UTC().Format("2006-01-02T15:04:05") }

// firsts keeps the late findings of the first rows.
type firsts struct {
	keep int
	list []*late
}

func (f *firsts) add(l *late) {
	if f.list = append(f.list, l); len(f.list) > 8*f.keep {
		f.list = slices.Clone(f.sorted())
	}
}

func (f *firsts) sorted() []*late {
	slices.SortFunc(f.list, func(a, b *late) int { return cmp.Compare(a.number, b.number) })
	return f.list[:min(f.keep, len(f.list))]
}
