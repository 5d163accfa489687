package judge

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func minute(weights ...int) Plan {
	p := Plan{Alpha: 0.001, Guard: 0.05, MinRequests: 100}
	for _, w := range weights {
		p.Steps = append(p.Steps, Step{Weight: w, Window: time.Minute, Deadline: 3 * time.Minute})
	}
	return p
}

func started(t *testing.T, p Plan) *Judge {
	t.Helper()
	j, err := New(p, nil)
	if err == nil {
		err = j.Begin(0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func side(requests, errors int64) Side { return Side{Requests: requests, Errors: errors} }

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name        string
		weight      int
		elapsed     time.Duration
		green, blue Side
		missing     string
		verdict     Verdict
		want        string
	}{
		{"healthy in the window", 5, 30 * time.Second, side(300, 0), side(5700, 3), "", Hold, "waits for 30s more of the window"},
		{"healthy at its end", 5, time.Minute, side(600, 1), side(11400, 12), "", Pass, "5 % at 1m0s of 1m0s, look 1: pass | errors: green 0.167 % (1/600), blue 0.105 % (12/11400), p"},
		{"healthy, both with some errors", 5, time.Minute, side(600, 12), side(11400, 230), "", Pass, ""},
		{"a third fails", 5, 2 * time.Second, side(20, 6), side(380, 0), "", Fail, "fail, green fails 30 % of its requests"},
		{"two percent fail", 5, time.Minute, side(600, 12), side(11400, 11), "", Fail, "fail, green fails 2 % of its requests, blue 0.0965 %"},
		{"both fail alike", 5, time.Minute, side(600, 240), side(11400, 4600), "", Fail, "fail, green fails 40 % of its requests, and never more than 5 % may"},
		{"no figures", 5, time.Minute, Side{}, Side{}, "the proxy does not answer", Hold, "waits for figures: the proxy does not answer, 100 more requests to green, 100 more requests to blue"},
		{"no figures at the deadline", 5, 3 * time.Minute, Side{}, Side{}, "the proxy does not answer", Fail, "fail, inconclusive at the deadline"},
		{"figures missing at the end only", 5, time.Minute, side(600, 0), side(11400, 0), "no answer", Hold, "figures: no answer"},
		{"no request to green", 5, time.Minute, side(0, 0), side(12000, 0), "", Hold, "100 more requests to green"},
		{"no request to blue", 5, time.Minute, side(600, 0), side(0, 0), "", Hold, "100 more requests to blue"},
		{"few at the deadline", 5, 3 * time.Minute, side(99, 0), side(2000, 0), "", Fail, "inconclusive at the deadline"},
		{"nonsense", 5, time.Minute, side(600, 601), side(11400, 0), "", Hold, "figures: the figures contradict themselves"},
		{"negative", 5, time.Minute, side(-600, 0), side(11400, 0), "", Hold, "contradict"},
		{"alone", 100, time.Minute, side(12000, 20), side(0, 0), "", Pass, "green 0.167 % (20/12000); limit 5 %"},
		{"alone and failing", 100, 2 * time.Second, side(200, 60), side(0, 0), "", Fail, "never more than 5 % may"},
		{"alone without requests", 100, time.Minute, side(0, 0), side(0, 0), "", Hold, "100 more requests to green"},
	}
	for _, tt := range tests {
		d := started(t, minute(tt.weight)).Look(tt.elapsed, tt.green, tt.blue, tt.missing)
		if d.Verdict != tt.verdict || !strings.Contains(d.String(), tt.want) || strings.Contains(d.String(), "\n") {
			t.Errorf("%s: %s", tt.name, d)
		}
		if content, err := json.Marshal(d); err != nil || !strings.Contains(string(content), `"verdict":"`+string(tt.verdict)) {
			t.Errorf("%s: %s, %v", tt.name, content, err)
		}
	}
}

// One-sided, by exact fractions: sum(comb(g, k) * comb(b, m - k) for k ≥ e) / comb(g + b, m). The first is Fisher's own
// example, the lady who tasted tea ("The Design of Experiments", 1935): 17/70.
func TestFisher(t *testing.T) {
	for _, tt := range []struct {
		c    Counts
		want float64
	}{
		{Counts{4, 3, 4, 1}, 17.0 / 70},
		{Counts{600, 12, 11400, 60}, 0.00021377153254955634},
		{Counts{14, 3, 266, 0}, 0.00010056470952270442},
		{Counts{3000, 90, 3000, 60}, 0.008106246924719722},
		{Counts{50, 12, 50, 0}, 0.00011557237069087301},
		{Counts{5000, 2600, 5000, 2500}, 0.02382680677762031},
		{Counts{0, 0, 50, 7}, 1},
		{Counts{50, 0, 0, 0}, 1},
	} {
		if got := Fisher(tt.c); math.Abs(got/tt.want-1) > 1e-9 {
			t.Errorf("%+v: %v, want %v", tt.c, got, tt.want)
		}
	}
}

func TestBinomialTail(t *testing.T) {
	for _, tt := range []struct {
		n, x int64
		want float64
	}{
		{14, 4, 0.004173238446987723},
		{100, 5, 0.564018699314288},
		{1000, 80, 3.48864497579347e-05},
		{2000, 60, 0.9999959676175973},
		{10, 0, 1},
	} {
		if got := binomialTail(tt.n, tt.x, 0.05); math.Abs(got/tt.want-1) > 1e-9 {
			t.Errorf("%d of %d: %v, want %v", tt.x, tt.n, got, tt.want)
		}
	}
}

// The placenta's permeability (Hollander and Wolfe, "Nonparametric Statistical Methods", 1973, page 69), as in R's help of
// wilcox.test: U = 35, one-sided p 0.1272.
func TestMannWhitney(t *testing.T) {
	term := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	early := []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	if p := mannWhitney(term, early); math.Abs(p-2*0.1272) > 1e-4 {
		t.Errorf("%v", p)
	}
	if p := mannWhitney(slices.Repeat([]float64{3}, 60), slices.Repeat([]float64{3}, 70)); p < 0.99 {
		t.Errorf("ties alone have p %v", p)
	}
}

// With one look the sequence is Fisher's test, and it cuts off no more than it may.
func TestSequenceOfOneLook(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := Counts{Requests: 1 + random.Int64N(200), BlueRequests: random.Int64N(2000)}
		c.Errors, c.BlueErrors = random.Int64N(min(c.Requests, 10)), random.Int64N(c.BlueRequests/20+1)
		budget := random.Float64() * 0.05
		s := begin()
		p, more := s.look(c, budget)
		if want := Fisher(c); math.Abs(p-want) > 1e-12 || more != (want <= budget) || s.spent > budget {
			t.Fatalf("%+v: p %v, more %v, spent %v; want %v of %v", c, p, more, s.spent, want, budget)
		}
	}
}

// By enumeration: of all ways in which the errors of three looks can fall, weighted by their probability, exactly what
// was spent is stopped.
func TestSequenceSpendsExactly(t *testing.T) {
	looks := []Counts{{Requests: 6, BlueRequests: 10, Errors: 3}, {Requests: 4, BlueRequests: 9, Errors: 4}, {Requests: 8, BlueRequests: 3, Errors: 5}} // Errors: of both
	budgets := []float64{0.03, 0.06, 0.1}
	stopped, most := 0.0, 0.0
	var fall func(s sequence, i int, weight float64)
	fall = func(s sequence, i int, weight float64) {
		if i == len(looks) {
			most = s.spent
			return
		}
		low, mass := hypergeometric(looks[i].Requests, looks[i].BlueRequests, looks[i].Errors)
		for k, m := range mass {
			next := s
			next.alive = slices.Clone(s.alive)
			mine := low + int64(k)
			c := Counts{looks[i].Requests, mine, looks[i].BlueRequests, looks[i].Errors - mine}
			if _, more := next.look(c, budgets[i]); more {
				stopped += weight * m
				continue
			}
			fall(next, i+1, weight*m)
		}
	}
	fall(begin(), 0, 1)
	if math.Abs(stopped-most) > 1e-12 || stopped == 0 || stopped > 0.1 {
		t.Errorf("stopped %v, spent %v", stopped, most)
	}
}

// Over many looks never more than the budget so far is spent, and the p that is told is the decision.
func TestSequenceKeepsItsBudget(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		s := begin()
		for look := 1; look <= 20; look++ {
			budget := 0.01 * spend(float64(look)/20)
			c := Counts{Requests: 50 + random.Int64N(50), BlueRequests: 200}
			c.Errors, c.BlueErrors = random.Int64N(3), random.Int64N(6)
			p, more := s.look(c, budget)
			if s.spent > budget*(1+1e-9) || more != (p <= budget) {
				t.Fatalf("look %d: spent %v of %v, p %v, more %v", look, s.spent, budget, p, more)
			}
			if more {
				break
			}
		}
	}
}

func TestSpending(t *testing.T) {
	p := minute(5, 25, 50, 100)
	if spend(0) != 0 || spend(1) != 1 || spend(0.25) != 0.5 {
		t.Error("not α·√t")
	}
	var total, last float64
	for i, s := range p.Steps {
		for _, at := range s.Looks() {
			share := p.share(i, at)
			if share <= last {
				t.Errorf("step %d at %v: share %v after %v", i, at, share, last)
			}
			total += p.increment(spending{last, share})
			last = share
		}
	}
	if last != 1 || math.Abs(total-p.Alpha*otherShare) > 1e-15 {
		t.Errorf("share %v, spent %v", last, total)
	}
	if sum := errorShare + 3*otherShare; math.Abs(sum-1) > 1e-12 {
		t.Errorf("shares of alpha add up to %v", sum)
	}
	looks := p.Steps[0].Looks()
	if looks[0] > 2*time.Second || !slices.Contains(looks, time.Minute) || looks[len(looks)-1] != 3*time.Minute || !slices.IsSorted(looks) {
		t.Errorf("%v", looks)
	}
}

// A second driver goes on where the first was killed: same decision, nothing spent twice.
func TestHistory(t *testing.T) {
	p := minute(5, 25)
	one := started(t, p)
	looks := p.Steps[0].Looks()
	for _, at := range looks[:6] {
		one.Look(at, side(40, 1), side(760, 3), "")
	}
	content, err := json.Marshal(one.History())
	if err != nil {
		t.Fatal(err)
	}
	var history []Look
	if err := json.Unmarshal(content, &history); err != nil {
		t.Fatal(err)
	}
	two, err := New(p, history)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range []*Judge{one, two} {
		if err := j.Begin(0); err != nil {
			t.Fatal(err)
		}
	}
	first, second := one.Look(looks[0], side(12, 1), side(200, 0), ""), two.Look(looks[0], side(12, 1), side(200, 0), "")
	if *first.Errors != *second.Errors || first.Share != second.Share || first.Errors.Release.Requests != 252 || first.Errors.Window.Requests != 12 {
		t.Errorf("%+v\n%+v", first.Errors, second.Errors)
	}
	if _, err := New(p, []Look{{Counts: Counts{Requests: 1, Errors: 2}}}); err == nil {
		t.Error("nonsense was taken for a history")
	}
	if one.Begin(2) == nil {
		t.Error("a step that does not exist")
	}
}

func TestPlanIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"no step": func(p *Plan) { p.Steps = nil }, "no alpha": func(p *Plan) { p.Alpha = 0 }, "alpha": func(p *Plan) { p.Alpha = 0.5 },
		"no guard": func(p *Plan) { p.Guard = 0 }, "no requests": func(p *Plan) { p.MinRequests = 0 },
		"weight": func(p *Plan) { p.Steps[0].Weight = 0 }, "deadline": func(p *Plan) { p.Steps[0].Deadline = time.Second },
		"shift": func(p *Plan) { p.Predictions = []string{"m"} }, "slower": func(p *Plan) { p.Slower = -1 },
	} {
		p := minute(5)
		spoil(&p)
		if _, err := New(p, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func lognormal(random *rand.Rand, n int, median float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = median * math.Exp(0.5*random.NormFloat64())
	}
	return all
}

func TestLatency(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	p := minute(5)
	p.Slower = 0.25
	tests := []struct {
		name    string
		n       int
		factor  float64
		verdict Verdict
		want    string
	}{
		{"the same", 600, 1, Pass, "latency: green"},
		{"slower, but not by what counts", 600, 1.1, Pass, ""},
		{"three times", 600, 3, Fail, "green takes 2"},
		{"three times, few", 60, 3, Fail, "green takes"},
		{"too few", 49, 3, Hold, "50 times of each side (49 and 5000 so far)"},
		{"faster", 600, 0.2, Pass, ""},
	}
	for _, tt := range tests {
		green, blue := side(600, 0), side(11400, 0)
		green.Seconds, blue.Seconds = lognormal(random, tt.n, 0.01*tt.factor), lognormal(random, 5000, 0.01)
		if d := started(t, p).Look(time.Minute, green, blue, ""); d.Verdict != tt.verdict || !strings.Contains(d.String(), tt.want) {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

// A burst makes all slow that were asked in it; the Mann-Whitney test sees many slow times of green then.
func TestLatencyOfABurst(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	p := minute(5)
	p.Slower = 0.5
	for _, tt := range []struct {
		name    string
		parts   []float64 // how green's times are longer, third by third
		verdict Verdict
	}{
		{"two bursts", []float64{9, 1, 9}, Hold},
		{"since a third of the window", []float64{1, 6, 6}, Hold},
		{"all the time", []float64{2.5, 6, 2.5}, Fail},
	} {
		green, blue := side(600, 0), side(11400, 0)
		for _, factor := range tt.parts {
			green.Seconds = append(green.Seconds, lognormal(random, 200, 0.01*factor)...)
		}
		blue.Seconds = lognormal(random, 5000, 0.01)
		d := started(t, p).Look(time.Minute, green, blue, "")
		if d.Verdict != tt.verdict || d.Latency.P > d.Latency.Alpha || tt.verdict == Hold && !strings.Contains(d.String(), "but not all the time") {
			t.Errorf("%s: p %g of %g: %s", tt.name, d.Latency.P, d.Latency.Alpha, d)
		}
	}
}

// When a burst is over, what comes after it decides.
func TestLatencyAfterABurst(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	p := minute(5)
	p.Slower = 0.5
	for factor, verdict := range map[float64]Verdict{1: Pass, 6: Fail} {
		j := started(t, p)
		green, blue := side(600, 0), side(11400, 0)
		green.Seconds = slices.Concat(lognormal(random, 200, 0.01), lognormal(random, 400, 0.06))
		blue.Seconds = lognormal(random, 5000, 0.01)
		if d := j.Look(time.Minute, green, blue, ""); d.Verdict != Hold {
			t.Fatal(d)
		}
		green.Seconds, blue.Seconds = lognormal(random, 1200, 0.01*factor), lognormal(random, 10_000, 0.01)
		if d := j.Look(150*time.Second, green, blue, ""); d.Verdict != verdict {
			t.Errorf("then × %g: %s", factor, d)
		}
	}
}

func TestPredictions(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	p := minute(5)
	p.Predictions, p.Shift = []string{"consumption", "high"}, 0.15
	tests := []struct {
		name     string
		n        int
		factor   float64
		verdict  Verdict
		want     string
		distance float64
	}{
		{"the same", 2000, 1, Pass, "consumption: distance 0.0", 0},
		{"a little else", 2000, 1.1, Pass, "", 0},
		{"something else", 2000, 2, Fail, "consumption predicts something else than before", 0.5},
		{"one value for all", 2000, 0, Fail, "something else", 0.5},
		{"too few", 99, 2, Hold, "predictions of consumption: 100 of each side (99 and 5000 so far)", 0},
		{"none", 0, 1, Hold, "predictions of consumption: 100 of each side (0 and 5000", 0},
	}
	for _, tt := range tests {
		green, blue := side(2000, 0), side(11400, 0)
		high := lognormal(random, 1000, 0.3)
		green.Predictions = map[string][]float64{"consumption": lognormal(random, tt.n, 5*tt.factor), "high": high, "else": {1}}
		blue.Predictions = map[string][]float64{"consumption": lognormal(random, 5000, 5), "high": high}
		d := started(t, p).Look(time.Minute, green, blue, "")
		if d.Verdict != tt.verdict || !strings.Contains(d.String(), tt.want) || d.Predictions[0].Distance < tt.distance {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
	nan := side(2000, 0)
	nan.Predictions = map[string][]float64{"consumption": {math.NaN()}}
	if d := started(t, p).Look(time.Minute, nan, side(11400, 0), ""); d.Verdict != Hold || d.Missing == "" {
		t.Error(d)
	}
}

// Above the floor, but within what chance can do: neither a pass nor a failure.
func TestPredictionsOfFew(t *testing.T) {
	p := minute(5)
	p.Predictions, p.Shift = []string{"m"}, 0.15
	values := func(n int, from float64) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = from + float64(i)/float64(n)
		}
		return all
	}
	green, blue := side(600, 0), side(11400, 0)
	green.Predictions, blue.Predictions = map[string][]float64{"m": values(110, 0.2)}, map[string][]float64{"m": values(1000, 0)}
	if d := started(t, p).Look(time.Minute, green, blue, ""); d.Verdict != Hold || !strings.Contains(d.String(), "more of them: the distance is 0.2") {
		t.Error(d)
	}
}

func TestSamplesAreBounded(t *testing.T) {
	p := minute(5)
	p.Slower = 0.25
	j := started(t, p)
	more := side(1000, 0)
	more.Seconds = make([]float64, 15_000)
	for _, at := range p.Steps[0].Looks()[:3] {
		j.Look(at, more, more, "")
	}
	if n := len(j.step.green.Seconds); n != kept {
		t.Errorf("%d times", n)
	}
}
