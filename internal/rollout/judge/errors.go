package judge

import "math"

// A sequence is the exact test of green's errors against blue's over all looks so far.
//
// If both fail alike, then of the errors between two looks green's share is hypergeometric, given how many requests and
// errors there were in all (Fisher's exact test), however many there were and whatever the rate: so the rate may move,
// and weights may differ, from one look to the next. The sum over the looks is the test's statistic, and alive its exact
// distribution among releases that no earlier look has stopped. At each look the highest values are cut off, as many as
// the budget so far allows. What the steps of a discrete distribution leave of it is kept for later looks. In the whole
// no more than the budget can be cut off, which is the probability of a false alarm.
type sequence struct {
	seen  int64 // green's errors
	low   int64 // the value of alive[0]
	alive []float64
	spent float64
}

// negligible mass at the ends of a distribution is not carried along.
const negligible = 1e-18

func begin() sequence { return sequence{alive: []float64{1}} }

// look takes in what came since the last look, may spend up to budget, and says whether green fails more than blue. The
// probability is of a false alarm at this look or before, if this look's limit were what was seen: at most the budget
// where the answer is yes.
func (s *sequence) look(c Counts, budget float64) (p float64, more bool) {
	low, mass := hypergeometric(c.Requests, c.BlueRequests, c.Errors+c.BlueErrors)
	s.low += low
	s.alive = convolve(s.alive, mass)
	s.seen += c.Errors

	p = math.Min(1, s.spent+s.tail(s.seen))
	limit := s.low + int64(len(s.alive))
	above := 0.0
	for limit > s.low && s.spent+above+s.alive[limit-1-s.low] <= budget {
		limit--
		above += s.alive[limit-s.low]
	}
	more = s.seen >= limit
	s.spent += above
	s.alive = s.alive[:limit-s.low]
	s.trim()
	return p, more
}

// Fisher is the one-sided p of Fisher's exact test that green fails more than blue: of one look, as if there were no
// other.
func Fisher(c Counts) float64 {
	low, mass := hypergeometric(c.Requests, c.BlueRequests, c.Errors+c.BlueErrors)
	one := sequence{low: low, alive: mass}
	return math.Min(1, one.tail(c.Errors))
}

// tail is the mass at and above a value.
func (s *sequence) tail(value int64) float64 {
	sum := 0.0
	for i := int64(len(s.alive)) - 1; i >= max(0, value-s.low); i-- {
		sum += s.alive[i]
	}
	return sum
}

func (s *sequence) trim() {
	from, to := 0, len(s.alive)
	for from < to && s.alive[from] < negligible {
		from++
	}
	for to > from && s.alive[to-1] < negligible {
		to--
		s.spent += s.alive[to] // so that what is left out is not forgotten
	}
	s.low += int64(from)
	s.alive = s.alive[from:to]
}

func convolve(a, b []float64) []float64 {
	if len(b) == 1 {
		return a
	}
	out := make([]float64, max(0, len(a)+len(b)-1))
	for i, x := range a {
		for k, y := range b {
			out[i+k] += x * y
		}
	}
	return out
}

// hypergeometric is the distribution of how many of so many errors, dealt out at random, fall on green: the
// probabilities of low, low+1, …, without the ends that are negligible.
func hypergeometric(green, blue, errors int64) (low int64, mass []float64) {
	first, last := max(0, errors-blue), min(errors, green)
	mode := int64(float64(errors+1) * (float64(green+1) / float64(green+blue+2)))
	mode = min(max(mode, first), last)
	ratio := func(k int64) float64 { // of the probabilities of k+1 and k
		return float64(errors-k) / float64(k+1) * (float64(green-k) / float64(blue-errors+k+1))
	}
	up := []float64{1} // all relative to the mode's
	for k := mode; k < last && up[len(up)-1] > negligible; k++ {
		up = append(up, up[len(up)-1]*ratio(k))
	}
	var down []float64
	at, low := 1.0, mode
	for low > first && at > negligible {
		at /= ratio(low - 1)
		low--
		down = append(down, at)
	}
	mass = make([]float64, 0, len(down)+len(up))
	for i := len(down) - 1; i >= 0; i-- {
		mass = append(mass, down[i])
	}
	mass = append(mass, up...)
	sum := 0.0
	for _, m := range mass {
		sum += m
	}
	for i := range mass {
		mass[i] /= sum
	}
	return low, mass
}

// compareErrors judges the errors of all looks of the release.
func (j *Judge) compareErrors(c Counts, share float64) *ErrorTest {
	t := &ErrorTest{Now: c, Window: Counts{j.step.green.Requests, j.step.green.Errors, j.step.blue.Requests, j.step.blue.Errors}}
	t.Alpha = j.plan.budget(errorShare, share)
	t.P, t.Alarm = j.errors.look(c, t.Alpha)
	t.Spent = j.errors.spent
	for _, l := range j.history {
		t.Release.add(l.Counts)
	}
	t.Release.add(c)
	return t
}

func (c *Counts) add(more Counts) {
	c.Requests += more.Requests
	c.Errors += more.Errors
	c.BlueRequests += more.BlueRequests
	c.BlueErrors += more.BlueErrors
}

// guard judges green's errors in this window against the rate that is never right, by the binomial test.
func (j *Judge) guard() GuardTest {
	g := GuardTest{Requests: j.step.green.Requests, Errors: j.step.green.Errors, Limit: j.plan.Guard}
	g.Alpha = j.plan.increment(j.step.spent)
	g.P = binomialTail(g.Requests, g.Errors, g.Limit)
	g.Alarm = g.Requests > 0 && g.P <= g.Alpha
	return g
}

// binomialTail is the probability of at least so many of n at that rate.
func binomialTail(n, atLeast int64, rate float64) float64 {
	if atLeast <= 0 {
		return 1
	}
	lgamma := func(v int64) float64 {
		l, _ := math.Lgamma(float64(v + 1))
		return l
	}
	sum := 0.0
	for k := atLeast; k <= n; k++ {
		p := math.Exp(lgamma(n) - lgamma(k) - lgamma(n-k) + float64(k)*math.Log(rate) + float64(n-k)*math.Log1p(-rate))
		sum += p
		if float64(k) > float64(n)*rate && p < sum*1e-12 {
			break
		}
	}
	return math.Min(1, sum)
}
