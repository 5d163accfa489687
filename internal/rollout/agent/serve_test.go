package agent

import (
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

func TestOrders(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		if r := s.wait(s.order("v2")); r.State != wire.Succeeded || r.Kind != rollout.Forward || r.Target != "v2" {
			t.Errorf("%+v", r)
		}
		s.serves("v2")
		s.tells("gate:note 1 statements were accepted", "done:note v2 serves")
		s.world.Behave("v3", rollouttest.Manner{Errors: 0.3})
		if r := s.wait(s.order("v3")); r.State != wire.RolledBack || r.Target != "v2" || !strings.Contains(r.Reason, "of its requests") {
			t.Errorf("%+v", r)
		}
		if r := s.wait(s.place(wire.Order{Kind: rollout.Back})); r.State != wire.Succeeded || r.Kind != rollout.Back || r.Target != "v1" {
			t.Errorf("%+v", r)
		}
		s.serves("v1")
		a.stop()
		if status := s.status(); status.Activity != wire.Stopped || status.Current.Release != "v1" || status.Trouble != "" {
			t.Errorf("%+v", status)
		}
		if got := s.raised(); got != "RolledBack" {
			t.Errorf("alerts: %s", got)
		}
	})
}
