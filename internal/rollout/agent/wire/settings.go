package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A Duration is written as Go writes it: 1m30s.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(content []byte) error {
	var s string
	if err := json.Unmarshal(content, &s); err != nil {
		return errors.New(`a duration is a string such as "1m30s"`)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`%w: a duration is a string such as "1m30s"`, err)
	}
	*d = Duration(parsed)
	return nil
}

// Settings are settings.json of a bundle: how one environment is rolled out to.
type Settings struct {
	Schema      int               `json:"schema"`
	Environment string            `json:"environment"`
	Gate        GateMode          `json:"gate"`
	Times       Times             `json:"times"`
	Judge       Plan              `json:"judge"`
	Synthetic   SyntheticSettings `json:"synthetic"`
	// Serving is the name of the image that serves, in both slots: a key of Revision.Images.
	Serving string `json:"serving"`
	// Services are what runs once: of each Compose service the name of its image.
	Services map[string]string `json:"services"`
}

// A GateMode says whether an order needs evidence, or a broken glass.
type GateMode string

// The modes.
const (
	GateRequired GateMode = "required"
	GateOptional GateMode = "optional"
)

// Times are how long things may take: see rollout.Settings.
type Times struct {
	Pull    Duration `json:"pull"`
	Migrate Duration `json:"migrate"`
	Ready   Duration `json:"ready"`
	Smoke   Duration `json:"smoke"`
	Replace Duration `json:"replace"`
	Verify  Duration `json:"verify"`
	Drain   Duration `json:"drain"`
	Blind   Duration `json:"blind"`
	Poll    Duration `json:"poll"`
}

// A Plan is a judge.Plan.
type Plan struct {
	Steps       []Step   `json:"steps"`
	Alpha       float64  `json:"alpha"`
	Guard       float64  `json:"guard"`
	MinRequests int64    `json:"min_requests"`
	Slower      float64  `json:"slower,omitempty"`
	Predictions []string `json:"predictions,omitempty"`
	Shift       float64  `json:"shift,omitempty"`
}

// A Step is a judge.Step.
type Step struct {
	Weight   int      `json:"weight"`
	Window   Duration `json:"window"`
	Deadline Duration `json:"deadline"`
}

// SyntheticSettings are of the load that the agent adds where users bring too little for a judgement.
type SyntheticSettings struct {
	// Rate is how many requests a second there are to be in all, those of users included, while a window is open that
	// would else not come to the plan's minimum. 0: never.
	Rate float64 `json:"rate"`
}

const fastest = 2000 // synthetic requests a second

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ReadSettings reads and checks them.
func ReadSettings(r io.Reader) (Settings, error) {
	var s Settings
	content, err := read(r, LongestSettings)
	if err == nil {
		err = decode(content, &s)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	return s, nil
}

// Check says what is wrong with them.
func (s Settings) Check() error {
	switch {
	case s.Schema != Schema:
		return fmt.Errorf("schema %d, not %d: deployer and agent are of different versions", s.Schema, Schema)
	case !name.MatchString(s.Environment):
		return fmt.Errorf("environment %q: give it a name of small letters, digits and -", s.Environment)
	case s.Gate != GateRequired && s.Gate != GateOptional:
		return fmt.Errorf("gate %q: it is %q or %q", s.Gate, GateRequired, GateOptional)
	case s.Synthetic.Rate < 0 || s.Synthetic.Rate > fastest:
		return fmt.Errorf("synthetic rate %g: it is 0 to %d a second", s.Synthetic.Rate, fastest)
	case !name.MatchString(s.Serving):
		return fmt.Errorf("serving %q: name the image that serves", s.Serving)
	}
	for service, image := range s.Services {
		if !name.MatchString(service) || !name.MatchString(image) || image == s.Serving {
			return fmt.Errorf("service %q of image %q: both need a name, and not that of what serves", service, image)
		}
	}
	return s.Rollout().Check()
}

// Rollout is what the driver wants.
func (s Settings) Rollout() rollout.Settings {
	plan := judge.Plan{
		Alpha: s.Judge.Alpha, Guard: s.Judge.Guard, MinRequests: s.Judge.MinRequests, Slower: s.Judge.Slower,
		Predictions: s.Judge.Predictions, Shift: s.Judge.Shift,
	}
	for _, step := range s.Judge.Steps {
		plan.Steps = append(plan.Steps, judge.Step{
			Weight: step.Weight, Window: time.Duration(step.Window), Deadline: time.Duration(step.Deadline),
		})
	}
	t := s.Times
	return rollout.Settings{
		Judge: plan,
		Pull:  time.Duration(t.Pull), Migrate: time.Duration(t.Migrate), Ready: time.Duration(t.Ready),
		Smoke: time.Duration(t.Smoke), Replace: time.Duration(t.Replace), Verify: time.Duration(t.Verify),
		Drain: time.Duration(t.Drain), Blind: time.Duration(t.Blind), Poll: time.Duration(t.Poll),
	}
}
