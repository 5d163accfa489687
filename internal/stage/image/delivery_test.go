package image

import (
	"slices"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A red run burns no version: the tags of branch and version wait for all that judges the images and what they hold.
func TestDeliveryWaitsForEveryGate(t *testing.T) {
	p := &config.Project{Image: config.Image{Images: []config.ContainerImage{{Name: "model_api"}}}}
	p.Integration.Hops = []config.Hop{{Name: "serve"}, {Name: "real", Requires: []string{"METER_DATA_DIR"}}}
	for name, tt := range map[string]struct {
		data string
		want []string
	}{
		"a hop that is skipped": {"", []string{"push", "benchmark", "integration:serve"}},
		"every hop":             {"/data", []string{"push", "benchmark", "integration:serve", "integration:real"}},
	} {
		t.Run(name, func(t *testing.T) {
			get := func(string) string { return tt.data }
			steps, err := New(Options{Deliver: &Delivery{Get: get}}).Steps(p)
			if err != nil {
				t.Fatal(err)
			}
			byName := map[string]engine.Step{}
			var judging []string
			for _, step := range steps {
				byName[step.Name] = step
				if step.Name != "push" && step.Name != "tag" {
					judging = append(judging, step.Name)
				}
			}
			if got := byName["push"].After; !slices.Equal(got, judging) || len(got) < 9 {
				t.Errorf("push runs after %q, and %q judge the images", got, judging)
			}
			if got := byName["tag"].After; !slices.Equal(got, tt.want) {
				t.Errorf("tag runs after %q, want %q", got, tt.want)
			}
		})
	}
	if steps, err := New(Options{}).Steps(p); err != nil || slices.ContainsFunc(steps, func(s engine.Step) bool { return s.Name == "push" }) {
		t.Errorf("without a delivery there is a push: %v", err)
	}
}
