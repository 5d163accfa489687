package agent

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

// families are those of metrics.prom, read by Prometheus' own parser.
func (s *site) families() map[string]*dto.MetricFamily {
	s.Helper()
	file, err := os.Open(s.layout.Metrics())
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var parser expfmt.TextParser
	all, err := parser.TextToMetricFamilies(file)
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// value is that of the sample with those labels, names and values in turn.
func (s *site) value(all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	s.Helper()
	for _, m := range all[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		fits := has["environment"] == "production"
		for i := 0; i < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	s.Errorf("there is no %s of %q", name, labels)
	return -1
}

func TestMetrics(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		s.wait(s.order("v2"))
		s.world.Behave(`v3"\`, rollouttest.Manner{Errors: 0.3})
		s.wait(s.order(`v3"\`))
		s.wait(s.place(wire.Order{Kind: rollout.Back}))
		s.wait(s.place(wire.Order{Kind: rollout.Back, Release: "v9"}))
		a.stop()
		b := s.serve("b", nil) // what it tells comes from the audit log
		time.Sleep(20 * time.Second)
		all := s.families()
		for name, family := range all {
			if !strings.HasPrefix(name, "meter_deploy_") || family.GetHelp() == "" || family.GetType() == dto.MetricType_UNTYPED {
				t.Errorf("%s: %v", name, family)
			}
			if counter := family.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(name, "_total") {
				t.Errorf("%s is a %s", name, family.GetType())
			}
		}
		want := map[string]float64{
			"meter_deploy_rollouts_total kind forward result done":        2,
			"meter_deploy_rollouts_total kind forward result rolled_back": 1,
			"meter_deploy_rollouts_total kind back result done":           1,
			"meter_deploy_rollouts_total kind back result rolled_back":    0,
			"meter_deploy_refused_total":                                  1,
			"meter_deploy_duration_seconds":                               4,
			"meter_deploy_lead_time_seconds":                              2,
			"meter_deploy_recovery_seconds":                               1,
			"meter_deploy_in_progress":                                    0,
			"meter_deploy_lease_epoch":                                    3,
			"meter_deploy_agent_takeovers_total":                          0,
			"meter_deploy_target_unobserved":                              0,
			"meter_deploy_release_info release v1 slot blue":              1,
			"meter_deploy_weight_ratio slot blue release v1":              1,
			"meter_deploy_slot_healthy slot blue":                         1,
			"meter_deploy_service_healthy service mlflow":                 1,
			"meter_deploy_error_ratio slot blue release v1":               0,
			"meter_deploy_latency_seconds slot blue percentile 99":        0.01,
			"meter_deploy_alerts_total name RolledBack severity critical": 1,
		}
		for _, sample := range slices.Sorted(maps.Keys(want)) {
			words := strings.Fields(sample)
			if got := s.value(all, words[0], words[1:]...); got != want[sample] {
				t.Errorf("%s is %v, not %v", sample, got, want[sample])
			}
		}
		if got := s.value(all, "meter_deploy_requests_total", "release", "v1"); got < 2000 {
			t.Errorf("%v requests", got)
		}
		lead, took := all["meter_deploy_lead_time_seconds"].GetMetric()[0].GetHistogram(), all["meter_deploy_recovery_seconds"].GetMetric()[0].GetHistogram()
		if lead.GetSampleSum() < 7200 || lead.GetSampleSum() > 7400 || took.GetSampleSum() > 2 || took.GetBucket()[2].GetCumulativeCount() != 1 {
			t.Errorf("lead time %v, recovery %v", lead, took)
		}
		b.stop()
	})
}
