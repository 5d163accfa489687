package evidence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

// A shelf is a repository of a real registry, with an image in it.
type shelf struct {
	t          *testing.T
	client     *registry.Client
	repository string
	digest     string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	server := registrytest.Start(t)
	client, err := registry.New(registry.Options{Host: server.Host})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, client: client, repository: server.Host + "/meter/model-api"}
	s.digest = s.push()
	return s
}

func (s *shelf) push() string {
	s.t.Helper()
	dir, digest := registrytest.Layout(s.t, 4096)
	if _, err := s.client.Push(s.t.Context(), dir, digest, s.repository, nil); err != nil {
		s.t.Fatal(err)
	}
	return digest
}

// fill makes the chain of evidence of an image in a run's directory, as a pipeline does, and attaches it.
func (s *shelf) fill(key PrivateKey, change func(*engine.Run)) {
	s.t.Helper()
	root := s.t.TempDir()
	run, images := goodRun(root), goodImages()
	images.Images[0].Digest = s.digest
	if change != nil {
		change(run)
	}
	place := Place{Builder: BuilderLocal, Machine: "laptop", By: "ada"}
	made, _, err := Statements(Source{Run: run, Tree: tree, Place: place, Images: &images, Model: model})
	if err != nil {
		s.t.Fatal(err)
	}
	built, _, err := Provenances(Build{Images: images, Place: place, Run: run.ID, Started: noon, Finished: noon.Add(time.Minute)})
	if err != nil {
		s.t.Fatal(err)
	}
	bill := filepath.Join(root, "bill.json")
	if err := os.WriteFile(bill, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"numpy"}]}`), 0o600); err != nil {
		s.t.Fatal(err)
	}
	listed, err := SBOM(images.Images[0], bill)
	if err != nil {
		s.t.Fatal(err)
	}
	// Three runs, as three jobs of one workflow leave them.
	runs := filepath.Join(root, "runs")
	for name, statements := range map[string][]*Statement{"1": made, "2": built, "3": {listed}} {
		if _, err := Keep(filepath.Join(runs, name, "artifacts"), key, statements); err != nil {
			s.t.Fatal(err)
		}
	}
	n, err := AttachAll(s.t.Context(), s.client, s.repository, s.digest, runs, []PublicKey{key.PublicKey})
	if err != nil || n != len(made)+len(built)+1 {
		s.t.Fatalf("%d of %d attached: %v", n, len(made)+len(built)+1, err)
	}
}

func (s *shelf) verify(digest string, now time.Time, keys ...PublicKey) Verdict {
	s.t.Helper()
	found, err := Fetch(s.t.Context(), s.client, s.repository, digest)
	if err != nil {
		s.t.Fatal(err)
	}
	return Verify(Request{Name: "production", Policy: goodPolicy(), Digest: digest, Bundles: found, Keys: keys, Now: now})
}

// attach puts bundles beside an image as anybody could who may write to the registry.
func (s *shelf) attach(digest string, bundles ...[]byte) {
	s.t.Helper()
	var artifacts []registry.Artifact
	for _, content := range bundles {
		artifacts = append(artifacts, registry.Artifact{Type: BundleType, Blobs: []registry.Blob{{MediaType: BundleType, Content: content}}})
	}
	if _, err := s.client.Attach(s.t.Context(), s.repository, digest, artifacts...); err != nil {
		s.t.Fatal(err)
	}
}

func TestEvidenceTravelsWithTheDigest(t *testing.T) {
	key, after := newKey(t), noon.Add(time.Hour)
	s := newShelf(t)
	s.fill(key, nil)
	if verdict := s.verify(s.digest, after, key.PublicKey); !verdict.Met {
		t.Fatalf("not met:\n%s", text(verdict))
	}
	t.Run("attaching again adds nothing", func(t *testing.T) {
		before, err := Fetch(t.Context(), s.client, s.repository, s.digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Attach(t.Context(), s.client, s.repository, s.digest, before); err != nil {
			t.Fatal(err)
		}
		again, err := Fetch(t.Context(), s.client, s.repository, s.digest)
		if err != nil || len(again) != len(before) {
			t.Errorf("%d bundles, then %d: %v", len(before), len(again), err)
		}
	})
	t.Run("annotations are cosign's", func(t *testing.T) {
		listed, err := s.client.Referrers(t.Context(), s.repository, s.digest, BundleType)
		if err != nil || len(listed) == 0 {
			t.Fatalf("%d referrers, %v", len(listed), err)
		}
		types := map[string]int{}
		for _, entry := range listed {
			fetched, err := s.client.Fetch(t.Context(), s.repository, entry.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if fetched.Annotations[contentKey] != dsseContent {
				t.Errorf("annotations %v", fetched.Annotations)
			}
			types[fetched.Annotations[predicateKey]]++
		}
		want := map[string]int{TestResultType: 5, VulnsType: 1, ProvenanceType: 1, SBOMType: 1}
		if diff := cmp.Diff(want, types); diff != "" {
			t.Errorf("predicate types (-want +got):\n%s", diff)
		}
	})
	t.Run("expired", func(*testing.T) {
		s.refused(s.verify(s.digest, after.Add(72*time.Hour), key.PublicKey), "and may be 2 days old")
	})
	t.Run("wrong key", func(t *testing.T) {
		s.refused(s.verify(s.digest, after, newKey(t).PublicKey), "not signed by a trusted key")
	})
	t.Run("another image without evidence", func(*testing.T) {
		s.refused(s.verify(s.push(), after, key.PublicKey), "provenance: found none that counts")
	})
	t.Run("another image with this one's evidence", func(t *testing.T) {
		found, err := Fetch(t.Context(), s.client, s.repository, s.digest)
		if err != nil {
			t.Fatal(err)
		}
		stolen := s.push()
		var contents [][]byte
		for _, f := range found {
			contents = append(contents, f.Content)
		}
		s.attach(stolen, contents...)
		s.refused(s.verify(stolen, after, key.PublicKey), "it is of another image")
	})
}

func (s *shelf) refused(verdict Verdict, want string) {
	s.t.Helper()
	if verdict.Met || !strings.Contains(text(verdict), want) {
		s.t.Errorf("met: %t, and missing is\n%s\nwant it to hold %q", verdict.Met, text(verdict), want)
	}
}

func TestWhatIsAttachedAfterwards(t *testing.T) {
	key, after := newKey(t), noon.Add(time.Hour)
	fresh := func(t *testing.T, change func(*engine.Run)) *shelf {
		s := newShelf(t)
		s.fill(key, change)
		return s
	}
	t.Run("a changed byte", func(t *testing.T) {
		s := newShelf(t)
		other := &shelf{t: t, client: s.client, repository: s.repository + "-other", digest: s.digest}
		dir, digest := registrytest.Layout(t, 4096)
		if _, err := s.client.Push(t.Context(), dir, digest, other.repository, nil); err != nil {
			t.Fatal(err)
		}
		s.digest, other.digest = digest, digest
		other.fill(key, nil)
		found, err := Fetch(t.Context(), s.client, other.repository, digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.Push(t.Context(), dir, digest, s.repository, nil); err != nil {
			t.Fatal(err)
		}
		// All bundles, of which that of the unit tests has one byte of its payload changed.
		for _, f := range found {
			if stage, err := claimed(f.Content).stage(); err == nil && stage.Stage == "unit" {
				f.Content = forge(t, f.Content, `"judged":40`, `"judged":41`)
			}
			s.attach(digest, f.Content)
		}
		s.refused(s.verify(digest, after, key.PublicKey), "its signature is not that of key")
	})
	t.Run("a missing stage", func(t *testing.T) {
		s := fresh(t, func(run *engine.Run) { run.Stages = run.Stages[1:] })
		s.refused(s.verify(s.digest, after, key.PublicKey), "quality: found none about the source tree")
	})
	t.Run("a failed test inside a validly signed statement", func(t *testing.T) {
		s := fresh(t, func(run *engine.Run) { metric("tests_failed", 1)(&run.Stages[2]) })
		s.refused(s.verify(s.digest, after, key.PublicKey), "unit:pytest: found tests_failed 1 tests; expected no failed test")
	})
	t.Run("a stranger's failure and junk change nothing", func(t *testing.T) {
		s := fresh(t, nil)
		w := newWorld(t)
		w.judge(newKey(t), only("unit", fails))
		s.attach(s.digest, w.found[len(w.found)-1].Content, []byte("junk"))
		if verdict := s.verify(s.digest, after, key.PublicKey); !verdict.Met || len(verdict.Refused) != 2 {
			t.Errorf("met: %t\n%s", verdict.Met, text(verdict))
		}
	})
}
