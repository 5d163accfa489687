package haproxy_test

import "testing"

// A weight that was changed is kept from the first request on, in whichever part of its round HAProxy is.
func TestNewWeightCausesNoBurst(t *testing.T) {
	b := start(t)
	const first = 60
	for _, before := range []int{330, 731} {
		for _, w := range [][2]int{{100, 0}, {90, 10}, {50, 50}} {
			b.weigh(w[0], w[1])
			had := b.green.posts.Load()
			b.load(first, 2500)
			if got, want := b.green.posts.Load()-had, int64(first*w[1]/100); got > want+first/6 || got < want-first/6 {
				t.Errorf("at %v after %d others: %d of the first %d requests went to green, not %d", w, before, got, first, want)
			}
			b.load(before, 2500)
		}
	}
}
