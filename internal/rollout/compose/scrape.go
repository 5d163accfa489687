package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

const (
	// histograms of a slot's /metrics are those whose names begin so.
	histogramPrefix = "prediction_"
	// scrapePause is between two scrapes of one slot while all that is asked for is an observation.
	scrapePause = time.Second
	// scrapePatience is how long a slot may take: none does that well, and observing must not wait for one that hangs.
	scrapePatience = 2 * time.Second
	// mostKept of each slot's scrapes: the judge asks for what was since its last look.
	mostKept = 900
	// mostPredictions of one look are handed on, at random: more tell a judge nothing.
	mostPredictions = 4000
)

// A scrape is what a slot's counters were.
type scrape struct {
	at         time.Time
	process    string // which process counted: container and start
	histograms map[string][]bucket
}

// A bucket counts what is at most its bound, and above the bound before.
type bucket struct {
	bound float64
	count uint64 // of it and of all before it
}

// scrapes are the last ones of each slot, in their order.
type scrapes struct {
	mu   sync.Mutex
	of   map[rollout.Slot][]scrape
	soon bool // weights have changed: the next observation scrapes
	web  *http.Client
}

func newScrapes() *scrapes {
	return &scrapes{
		of:  map[rollout.Slot][]scrape{},
		web: &http.Client{Timeout: scrapePatience, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// scrapeSoon makes the next observation scrape: a window begins.
func (t *Target) scrapeSoon() {
	t.scrapes.mu.Lock()
	defer t.scrapes.mu.Unlock()
	t.scrapes.soon = true
}

// scrapeDue scrapes, in the background of an observation, what was not for a while. It keeps nobody waiting, and what it
// does not get, Metrics will miss.
func (t *Target) scrapeDue(ctx context.Context, v view) {
	t.scrapes.mu.Lock()
	due, now := t.scrapes.soon, time.Now()
	for _, slot := range t.weighted(v) {
		kept := t.scrapes.of[slot]
		due = due || len(kept) == 0 || now.Sub(kept[len(kept)-1].at) >= scrapePause
	}
	t.scrapes.soon = false
	t.scrapes.mu.Unlock()
	if due {
		go func() { _ = t.scrape(context.WithoutCancel(ctx), v) }()
	}
}

// weighted are the slots that have traffic now, or could have some.
func (t *Target) weighted(v view) []rollout.Slot {
	var all []rollout.Slot
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		if c, ok := v.members[serviceOf(slot)]; ok && runs(c) && v.proxy.Servers[string(slot)].Weight > 0 {
			all = append(all, slot)
		}
	}
	return all
}

// scrape asks all slots with traffic at once.
func (t *Target) scrape(ctx context.Context, v view) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failures error
	for _, slot := range t.weighted(v) {
		all.Go(func() {
			s, err := t.scrapeOne(ctx, v.members[serviceOf(slot)])
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = errors.Join(failures, fmt.Errorf("read metrics of slot %s: %w", slot, err))
				return
			}
			t.scrapes.keep(slot, s)
		})
	}
	all.Wait()
	return failures
}

func (s *scrapes) keep(slot rollout.Slot, one scrape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.of[slot]
	s.of[slot] = append(slices.Clone(kept[max(0, len(kept)-mostKept+1):]), one)
}

func (t *Target) scrapeOne(ctx context.Context, c container.InspectResponse) (scrape, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapePatience)
	defer cancel()
	s := scrape{at: time.Now(), process: c.ID + " " + c.State.StartedAt, histograms: map[string][]bucket{}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.address(c)+":"+slotPort+"/metrics", nil)
	if err != nil {
		return s, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := t.scrapes.web.Do(request)
	if err != nil {
		return s, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("it answers %s", response.Status)
	}
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(http.MaxBytesReader(nil, response.Body, 8<<20))
	if err != nil {
		return s, err
	}
	for name, family := range families {
		if strings.HasPrefix(name, histogramPrefix) && family.GetType() == dto.MetricType_HISTOGRAM {
			s.histograms[name] = added(family)
		}
	}
	return s, nil
}

// added are a family's buckets, all its label sets in one.
func added(family *dto.MetricFamily) []bucket {
	counts := map[float64]uint64{}
	for _, m := range family.GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			counts[b.GetUpperBound()] += b.GetCumulativeCount()
		}
	}
	buckets := make([]bucket, 0, len(counts))
	for _, bound := range slices.Sorted(maps.Keys(counts)) {
		buckets = append(buckets, bucket{bound, counts[bound]})
	}
	return buckets
}

// predictions are what each slot with traffic has predicted since.
func (t *Target) predictions(ctx context.Context, v view, from time.Time) (map[rollout.Slot]map[string][]float64, error) {
	if err := t.scrape(ctx, v); err != nil {
		return nil, err
	}
	t.scrapes.mu.Lock()
	defer t.scrapes.mu.Unlock()
	all := map[rollout.Slot]map[string][]float64{}
	for _, slot := range t.weighted(v) {
		started, err := time.Parse(time.RFC3339Nano, v.members[serviceOf(slot)].State.StartedAt)
		if err != nil || started.After(from) {
			return nil, errors.Join(fmt.Errorf("read metrics of slot %s: %w: its counters began anew at %s", slot, rollout.ErrGap, started.Format(time.TimeOnly)), err)
		}
		kept := t.scrapes.of[slot]
		first := slices.IndexFunc(kept, func(s scrape) bool { return !s.at.Before(from) })
		last := len(kept) - 1
		if first == last || kept[first].at.Sub(from) > tolerated(kept[last].at.Sub(from)) {
			// No gap for good: in a longer interval it is a smaller part.
			return nil, fmt.Errorf("read metrics of slot %s: there are none from the beginning of the interval", slot)
		}
		models, err := between(kept[first], kept[last])
		if err != nil {
			return nil, fmt.Errorf("read metrics of slot %s: %w: %w", slot, rollout.ErrGap, err)
		}
		all[slot] = models
	}
	return all, nil
}

// tolerated is the part of an interval without a scrape at its beginning that is no gap.
func tolerated(interval time.Duration) time.Duration { return max(interval/5, 3*scrapePause/2) }

// between are the predictions from one scrape to another, each as the bound of its bucket.
func between(a, b scrape) (map[string][]float64, error) {
	if a.process != b.process {
		return nil, errors.New("its process is another one than before")
	}
	models := map[string][]float64{}
	for name, now := range b.histograms {
		values, err := differences(a.histograms[name], now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		models[name] = values
	}
	return models, nil
}

func differences(before, now []bucket) ([]float64, error) {
	if len(before) != len(now) {
		return nil, errors.New("its buckets are not those of before")
	}
	counts, total := make([]uint64, len(now)), uint64(0)
	below := uint64(0) // of the difference, in the buckets before
	for i, b := range now {
		if b.bound != before[i].bound {
			return nil, errors.New("its buckets are not those of before")
		}
		if b.count < before[i].count || b.count-before[i].count < below {
			return nil, errors.New("its counter began anew")
		}
		counts[i] = b.count - before[i].count - below
		below += counts[i]
		total += counts[i]
	}
	share := 1.0
	if total > mostPredictions {
		share = mostPredictions / float64(total)
	}
	values := make([]float64, 0, min(total, mostPredictions))
	for i, n := range counts {
		value := now[i].bound
		if i == len(now)-1 && i > 0 { // above all bounds: greater than any of them is all that is known
			value = 2*now[i-1].bound + 1
		}
		for range n {
			if share == 1 || rand.Float64() < share { //nolint:gosec // a sample, no secret
				values = append(values, value)
			}
		}
	}
	// The judge keeps the newest: not those of the highest buckets.
	rand.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] }) //nolint:gosec // no secret
	return values, nil
}
