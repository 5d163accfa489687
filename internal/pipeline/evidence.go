package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// EvidenceShow prints what is known of an image, or of what a directory holds, for people.
func EvidenceShow(reference string) Action {
	return func(ctx context.Context, s *Session) error {
		// Without a key all is shown as the claim that it is.
		keys, err := evidence.LoadPublicKeys(s.Host.Get)
		if err != nil && !errors.Is(err, evidence.ErrNoKey) {
			return &Exit{Code: engine.ExitUsage, Message: err.Error()}
		}
		if err != nil {
			s.say("warning: %s is not set, so no signature is trusted", evidence.PublicKeyVariable)
		}
		found, err := s.findEvidence(ctx, reference)
		if err != nil {
			return err
		}
		title := reference
		if found.digest != "" {
			title = found.repository + "@" + found.digest
		}
		if len(found.bundles) == 0 {
			return &Exit{Code: engine.ExitFailed, Message: title + " has no evidence: `mage image:push` attaches what runs with " + evidence.KeyVariable + " made"}
		}
		return s.print(evidence.Show(title, found.bundles, keys))
	}
}

// EvidenceVerify judges the evidence of an image, or of each image that a directory holds evidence of, against a policy.
func EvidenceVerify(reference, policy string, asJSON bool) Action {
	return func(ctx context.Context, s *Session) error {
		want, ok := s.Project.Evidence.Policies[policy]
		if !ok {
			names := slices.Sorted(maps.Keys(s.Project.Evidence.Policies))
			return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("there is no policy %q under evidence.policies in pipeline.yaml: %s", policy, strict.Suggest(policy, names))}
		}
		keys, err := evidence.LoadPublicKeys(s.Host.Get)
		if err != nil {
			return &Exit{Code: engine.ExitUsage, Message: err.Error()}
		}
		found, err := s.findEvidence(ctx, reference)
		if err != nil {
			return err
		}
		digests := []string{found.digest}
		if found.digest == "" {
			if digests = evidence.Digests(found.bundles, keys); len(digests) == 0 {
				return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("%s holds no provenance that a trusted key signed, so it is evidence of no image: name the image", reference)}
			}
		}
		verdicts := make([]evidence.Verdict, 0, len(digests))
		for _, digest := range digests {
			verdicts = append(verdicts, evidence.Verify(evidence.Request{
				Name: policy, Policy: want, Digest: digest, Bundles: found.bundles, Keys: keys, Now: s.Host.Now(),
			}))
		}
		return s.tell(verdicts, asJSON)
	}
}

// tell prints verdicts; one that is not met is exit code 1.
func (s *Session) tell(verdicts []evidence.Verdict, asJSON bool) error {
	missing := 0
	for _, v := range verdicts {
		if !v.Met {
			missing++
		}
	}
	if asJSON {
		content, err := json.MarshalIndent(verdicts, "", "  ")
		if err != nil {
			return fmt.Errorf("write verdict: %w", err)
		}
		if err := s.print(string(content) + "\n"); err != nil {
			return err
		}
	} else {
		for _, v := range verdicts {
			if err := s.print(v.Text()); err != nil {
				return err
			}
		}
	}
	if missing > 0 {
		return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("%d of %d images do not meet the policy %s", missing, len(verdicts), verdicts[0].Policy)}
	}
	return nil
}

// EvidenceKeygen makes a key pair. It never prints the private key, and by default puts it where no commit, image or
// report of this project could take it along.
func EvidenceKeygen(file string) Action {
	return func(_ context.Context, s *Session) error {
		private, err := s.keyFile(file)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(private), 0o700); err != nil {
			return fmt.Errorf("make directory of the key: %w", err)
		}
		public := strings.TrimSuffix(private, ".key") + ".pub"
		key, err := evidence.Generate(private, public)
		if err != nil {
			return &Exit{Code: engine.ExitUsage, Message: err.Error()}
		}
		s.say("made the key %s", key.ID)
		s.say("to sign, and for nobody else to read:  export %s=file:%s", evidence.KeyVariable, private)
		s.say("to verify, for everybody:              export %s=file:%s", evidence.PublicKeyVariable, public)
		return nil
	}
}

func (s *Session) keyFile(file string) (string, error) {
	config := s.Host.Get("XDG_CONFIG_HOME")
	if home := s.Host.Get("HOME"); config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	switch {
	case filepath.IsAbs(file):
		return file, nil
	case file != "":
		return filepath.Join(s.Host.Dir, file), nil
	case filepath.IsAbs(config):
		return filepath.Join(config, "meter-pipeline", "evidence.key"), nil
	default:
		return "", &Exit{Code: engine.ExitUsage, Message: "HOME is not set, so there is no place for a key: name one with -file="}
	}
}

// A collection is the evidence that a reference stands for. A directory's has no digest.
type collection struct {
	repository, digest string
	bundles            []evidence.Found
}

// findEvidence takes what is a directory for one, and all else for an image in a registry.
func (s *Session) findEvidence(ctx context.Context, reference string) (collection, error) {
	path := reference
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Host.Dir, path)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		bundles, err := evidence.ReadDir(path)
		return collection{bundles: bundles}, err
	}
	client, err := s.registry()
	if err != nil {
		return collection{}, err
	}
	image, err := client.Resolve(ctx, reference)
	if errors.Is(err, registry.ErrNotFound) {
		return collection{}, &Exit{Code: engine.ExitFailed, Message: err.Error()}
	}
	if err != nil {
		return collection{}, err
	}
	bundles, err := evidence.Fetch(ctx, client, image.Repository, image.Digest)
	return collection{repository: image.Repository, digest: image.Digest, bundles: bundles}, err
}

func (s *Session) registry() (*registry.Client, error) {
	return registry.New(registry.Options{
		Host:     cmp.Or(s.Host.Get("METER_REGISTRY"), s.Project.Image.Registry),
		Username: s.Host.Get("REGISTRY_USERNAME"), Password: s.Host.Get("REGISTRY_PASSWORD"),
		Log: func(format string, args ...any) { s.say(format, args...) },
	})
}
