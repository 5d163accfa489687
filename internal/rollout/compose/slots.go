package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// slots is slots.json: what each slot is to run, and what share of the traffic it is to have.
type slots struct {
	Revisions map[rollout.Slot]rollout.Revision `json:"revisions"`
	Weights   rollout.Weights                   `json:"weights"`
	Started   rollout.Slot                      `json:"started"` // last
	// Migrated are the images whose own tables were migrated to: going back to one, nothing is to be migrated, and an
	// older program would not even know the newer tables.
	Migrated []string `json:"migrated,omitempty"`
}

// mostMigrated images are remembered.
const mostMigrated = 100

func (s *slots) migrated(image string) {
	s.Migrated = append(s.Migrated, image)
	s.Migrated = s.Migrated[max(0, len(s.Migrated)-mostMigrated):]
}

func (t *Target) slotsFile() string { return filepath.Join(t.config.State, "slots.json") }

func (t *Target) slots() (slots, error) {
	s := slots{Revisions: map[rollout.Slot]rollout.Revision{}, Weights: rollout.Weights{}}
	err := readJSON(t.slotsFile(), &s)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	return s, nil
}

// leading is the revision whose files say how the proxy is set up and what runs once: that which has most of the traffic,
// or the one that was started last.
func (s slots) leading() (rollout.Revision, bool) {
	slot := s.Started
	if blue, green := s.Weights[rollout.Blue], s.Weights[rollout.Green]; blue > green {
		slot = rollout.Blue
	} else if green > blue {
		slot = rollout.Green
	}
	r, ok := s.Revisions[slot]
	return r, ok
}

// settings are those of a revision's bundle.
func (t *Target) settings(r rollout.Revision) (wire.Settings, error) {
	file, err := os.Open(t.layout.Settings(r.Bundle))
	if err != nil {
		return wire.Settings{}, fmt.Errorf("read the settings of %s: %w", r.Release, err)
	}
	defer func() { _ = file.Close() }()
	s, err := wire.ReadSettings(file)
	if err != nil {
		return s, fmt.Errorf("read the settings of %s: %w", r.Release, err)
	}
	return s, nil
}

func serviceOf(s rollout.Slot) string { return slotService + string(s) }

// variables are what docker/compose.yaml needs to know, with both slots as they are to be and everything else as this
// revision has it.
func (t *Target) variables(s slots, r rollout.Revision) (map[string]string, error) {
	settings, err := t.settings(r)
	if err != nil {
		return nil, err
	}
	v := map[string]string{
		"METER_ENVIRONMENT": t.config.Environment, "STATE": t.config.State, "NETWORK": t.config.Network,
		"SMOKE": filepath.Join(t.layout.Bundle(r.Bundle), "smoke.py"), "SMOKE_DIGEST": r.Digest,
	}
	for name, image := range r.Images {
		v[variable(name)+"_IMAGE"] = image
	}
	for slot, in := range s.Revisions {
		prefix := "MODEL_API_" + strings.ToUpper(string(slot))
		own, err := t.settings(in)
		if err != nil && slot != r.Slot {
			continue // its files may be gone, and it is not what this is about
		}
		if err != nil {
			return nil, err
		}
		v[prefix+"_IMAGE"], v[prefix+"_RELEASE"], v[prefix+"_DIGEST"] = in.Images[own.Serving], in.Release, in.Digest
	}
	image, ok := r.Images[settings.Serving]
	if !ok || !strings.HasSuffix(image, "@"+r.Digest) {
		return nil, rollout.Permanent(fmt.Errorf("%s has no image %q with the digest %s", r.Release, settings.Serving, r.Digest))
	}
	v["SMOKE_IMAGE"] = image
	return v, nil
}

func variable(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// writeVariables writes compose.env. Every value is refused that could be more than one word.
func (t *Target) writeVariables(v map[string]string) error {
	name, value := regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`), regexp.MustCompile(`^[A-Za-z0-9._:/@+-]*$`)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if !name.MatchString(key) || !value.MatchString(v[key]) {
			return rollout.Permanent(fmt.Errorf("set %s to %s: a value has letters, digits and ._:/@+- only", key, strconv.Quote(v[key])))
		}
		fmt.Fprintf(&b, "%s=%s\n", key, v[key])
	}
	return wholefile.Write(t.variablesFile(), []byte(b.String()), 0o600)
}

func (t *Target) variablesFile() string { return filepath.Join(t.config.State, "compose.env") }
