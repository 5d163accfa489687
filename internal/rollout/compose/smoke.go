package compose

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

const (
	// answersFile lies beside the champion in the image of what serves.
	answersFile = "/model/answers.json"
	// longestAnswers is far above the known twenty.
	longestAnswers = 4 << 20
	// exact is how far an answer may be from the known one: two platforms' last digits.
	exact = 1e-9
)

// knownAnswer is one of answers.json.
type knownAnswer struct {
	Request     json.RawMessage `json:"request"`
	Units       *float64        `json:"units_kwh"`
	Probability *float64        `json:"high_consumption_probability"`
}

// Answers implements Listener.
func (t *Target) Answers(ctx context.Context, r rollout.Revision) ([]Answer, error) {
	c, err := t.member(ctx, r.Slot)
	if err != nil {
		return nil, fmt.Errorf("read known answers: %w", err)
	}
	packed, _, err := t.engine.CopyFromContainer(ctx, c.ID, answersFile)
	if err != nil {
		return nil, fmt.Errorf("read known answers: %w", err)
	}
	defer func() { _ = packed.Close() }()
	archive := tar.NewReader(packed)
	header, err := archive.Next()
	if err == nil && header.Size > longestAnswers {
		err = fmt.Errorf("%s has %d bytes", answersFile, header.Size)
	}
	var known []knownAnswer
	if err == nil {
		err = json.NewDecoder(io.LimitReader(archive, longestAnswers)).Decode(&known)
	}
	if err == nil && len(known) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("read known answers: %w", err)
	}
	answers := make([]Answer, 0, len(known))
	for i, k := range known {
		if len(k.Request) == 0 || k.Units == nil || k.Probability == nil {
			return nil, fmt.Errorf("read known answers: number %d lacks its request or a part of its answer", i)
		}
		answers = append(answers, Answer{Request: k.Request, Units: *k.Units, Probability: *k.Probability})
	}
	return answers, nil
}

// Smoke implements rollout.Backend: it is what it says, and answers what is known.
func (t *Target) Smoke(ctx context.Context, r rollout.Revision) error {
	answers, err := t.Answers(ctx, r)
	if err != nil {
		return err
	}
	c, err := t.member(ctx, r.Slot)
	if err != nil {
		return fmt.Errorf("ask %s: %w", r.Release, err)
	}
	base := "http://" + t.address(c) + ":" + slotPort
	// Its connections are of no use later: nothing of ours is to hold one to what is to be stopped.
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var version struct {
		Digest string `json:"image_digest"`
	}
	if err := ask(ctx, web, base+"/version", nil, &version); err != nil {
		return fmt.Errorf("ask %s: %w", r.Release, err)
	}
	if version.Digest != r.Digest {
		return fmt.Errorf("ask %s: it says that it is %q, and should be %s", r.Release, plain.Line(version.Digest), r.Digest)
	}
	for i, a := range answers {
		var got struct {
			Units       *float64 `json:"units_kwh"`
			Probability *float64 `json:"high_consumption_probability"`
		}
		if err := ask(ctx, web, base+"/predict", a.Request, &got); err != nil {
			return fmt.Errorf("ask %s: known answer %d: %w", r.Release, i, err)
		}
		if got.Units == nil || got.Probability == nil {
			return fmt.Errorf("ask %s: known answer %d: a part of the answer is missing", r.Release, i)
		}
		if !near(*got.Units, a.Units) || !near(*got.Probability, a.Probability) {
			return fmt.Errorf("ask %s: known answer %d: it says %g kWh and %g, and %g kWh and %g is right",
				r.Release, i, *got.Units, *got.Probability, a.Units, a.Probability)
		}
	}
	return nil
}

// near is false for NaN.
func near(a, b float64) bool { return math.Abs(a-b) <= exact*math.Max(1, math.Abs(b)) }

// ask posts a body, or gets if there is none, and reads the answer.
func ask(ctx context.Context, web *http.Client, url string, body []byte, into any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %.200s", url, response.Status, plain.Line(string(content)))
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s answers %.200q: %w", url, plain.Line(string(content)), err)
	}
	return nil
}

// Verify implements rollout.Backend: smoke.py of the bundle asks all parts, in a container of the image that serves.
func (t *Target) Verify(ctx context.Context, r rollout.Revision) error {
	if err := t.once(ctx, nil, r, "smoke"); err != nil {
		return fmt.Errorf("ask all parts of %s: %w", r.Release, err)
	}
	return nil
}
