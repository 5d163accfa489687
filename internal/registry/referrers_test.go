package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"

func evidence(words string) registry.Artifact {
	return registry.Artifact{
		Type: bundle, Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope"},
		Blobs: []registry.Blob{{MediaType: bundle, Content: []byte(words)}},
	}
}

// Both ways in which a registry can keep referrers: docker-registry has the tag only, the library's registry the API.
func TestReferrers(t *testing.T) {
	withAPI := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(withAPI.Close)
	for name, host := range map[string]string{
		"by tag": registrytest.Start(t).Host,
		"by API": strings.TrimPrefix(withAPI.URL, "http://"),
	} {
		t.Run(name, func(t *testing.T) {
			repository := host + "/meter-ml/model-api"
			client := impatient(t, registry.Options{})
			_, image := push(t, client, repository, 1<<10)
			_, other := push(t, client, repository, 1<<10)
			tested, sbom := evidence("tested"), registry.Artifact{Type: "application/vnd.cyclonedx+json"}
			digests, err := client.Attach(t.Context(), repository, image, tested, sbom)
			if err != nil || len(digests) != 2 {
				t.Fatalf("attached %q: %v", digests, err)
			}

			again, err := impatient(t, registry.Options{}).Attach(t.Context(), repository, image, tested)
			if err != nil || !slices.Equal(again, digests[:1]) {
				t.Errorf("attached again: %q, %v; want %q", again, err, digests[:1])
			}
			all, err := client.Referrers(t.Context(), repository, image, "")
			if err != nil || len(all) != 2 {
				t.Errorf("all: %+v, %v", all, err)
			}
			bundles, err := client.Referrers(t.Context(), repository, image, bundle)
			if err != nil || len(bundles) != 1 || bundles[0].Digest != digests[0] || bundles[0].ArtifactType != bundle {
				t.Fatalf("bundles: %+v, %v", bundles, err)
			}
			fetched, err := client.Fetch(t.Context(), repository, bundles[0].Digest)
			if diff := cmp.Diff(registry.Fetched{Artifact: tested, Subject: image}, fetched); diff != "" || err != nil {
				t.Errorf("fetched (-want +got):\n%s%v", diff, err)
			}
			if fetched, err := client.Fetch(t.Context(), repository, digests[1]); err != nil || len(fetched.Blobs) != 0 || fetched.Type != sbom.Type {
				t.Errorf("fetched %+v, %v", fetched, err)
			}
			if none, err := client.Referrers(t.Context(), repository, other, ""); err != nil || len(none) != 0 {
				t.Errorf("of the other image: %+v, %v", none, err)
			}
			if _, err := client.Fetch(t.Context(), repository, nothing); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("nothing: %v", err)
			}
		})
	}
}

func TestWhatCantBeAttached(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	client := impatient(t, registry.Options{})
	if _, err := client.Attach(t.Context(), repository, nothing, evidence("tested")); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("to nothing: %v", err)
	}
	_, image := push(t, client, repository, 1<<10)
	_, err := client.Attach(t.Context(), repository, image, registry.Artifact{})
	contains(t, err, "no type")
}

// Clients that know nothing of each other, as in two runs for the same image, attach at the same time.
func TestAttachersAtTheSameTime(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	_, image := push(t, impatient(t, registry.Options{}), repository, 1<<10)
	const attachers = 4
	var group sync.WaitGroup
	for n := range attachers {
		client := impatient(t, registry.Options{})
		group.Go(func() {
			if _, err := client.Attach(t.Context(), repository, image, evidence(fmt.Sprintf("by %d", n)), evidence("by all")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	listed, err := impatient(t, registry.Options{}).Referrers(t.Context(), repository, image, bundle)
	if err != nil || len(listed) != attachers+1 {
		t.Errorf("%d of %d artifacts are listed: %v", len(listed), attachers+1, err)
	}
}

// An entry that another attacher lost is seen to be missing, and written again: also if it was there for a moment.
func TestLostEntryIsWrittenAgain(t *testing.T) {
	// Reading: 1: is it listed? 2: the library reads what it adds to; 3: is it listed now? 4: is it still?
	for _, lost := range []int{3, 4} {
		t.Run(fmt.Sprintf("reading %d", lost), func(t *testing.T) {
			reading := 0
			host, _ := breaking(t, func(r *http.Request) http.HandlerFunc {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/sha256-") {
					return nil
				}
				if reading++; reading != lost {
					return nil
				}
				return noReferrers
			})
			_, image := push(t, impatient(t, registry.Options{}), host+"/a/b", 1<<10)
			var writes recorder
			if _, err := impatient(t, registry.Options{Transport: &writes}).Attach(t.Context(), host+"/a/b", image, evidence("tested")); err != nil {
				t.Fatal(err)
			}
			puts := 0
			for _, write := range writes.writes() {
				if strings.HasPrefix(write, "PUT") && strings.Contains(write, "/manifests/sha256:") {
					puts++
				}
			}
			if puts != 2 {
				t.Errorf("the artifact was written %d times: %q", puts, writes.writes())
			}
		})
	}
}

func noReferrers(w http.ResponseWriter, _ *http.Request) {
	const index = "application/vnd.oci.image.index.v1+json"
	w.Header().Set("Content-Type", index)
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": []any{}})
}
