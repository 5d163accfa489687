package registry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

func TestPush(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := registrytest.Layout(t, 3<<20, 1<<20)
	var done, total int64
	pushed, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, func(d, t int64) { done, total = d, t })
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Sent != 3 || pushed.Present != 0 || !pushed.New || pushed.Reference != repository+"@"+digest {
		t.Errorf("pushed %+v", pushed)
	}
	if done != total || total < 4<<20 || total != pushed.Bytes {
		t.Errorf("progress ended at %d of %d bytes, %d were pushed", done, total, pushed.Bytes)
	}
	if tags := server.Tags(repository); len(tags) > 0 {
		t.Errorf("a push by digest made the tags %q", tags)
	}
	resolved, err := impatient(t, registry.Options{}).Resolve(t.Context(), repository+"@"+digest)
	if err != nil || resolved.Digest != digest || resolved.Repository != repository {
		t.Errorf("resolved %+v, %v", resolved, err)
	}

	t.Run("again sends nothing", func(t *testing.T) {
		var writes recorder
		pushed, err := impatient(t, registry.Options{Transport: &writes}).Push(t.Context(), layout, digest, repository, nil)
		if err != nil || pushed.Sent != 0 || pushed.Present != 3 || pushed.New || pushed.Bytes != 0 {
			t.Errorf("pushed %+v, %v", pushed, err)
		}
		if seen := writes.writes(); len(seen) > 0 {
			t.Errorf("it wrote: %q", seen)
		}
	})
	t.Run("a changed blob is refused", func(t *testing.T) {
		layout, digest := registrytest.Layout(t, 1<<10)
		spoil(t, layout, digest)
		_, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, nil)
		contains(t, err, "digest")
		_, err = impatient(t, registry.Options{}).Resolve(t.Context(), repository+"@"+digest)
		if !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("its manifest: %v", err)
		}
	})
	t.Run("a changed manifest is refused", func(t *testing.T) {
		layout, digest := registrytest.Layout(t, 1<<10)
		path := filepath.Join(layout, "blobs/sha256", strings.TrimPrefix(digest, "sha256:"))
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(content, ' '), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		var writes recorder
		_, err = impatient(t, registry.Options{Transport: &writes}).Push(t.Context(), layout, digest, repository, nil)
		contains(t, err, digest, "it has the digest", "build it again")
		if seen := writes.writes(); len(seen) > 0 {
			t.Errorf("it wrote: %q", seen)
		}
	})
	t.Run("a layer that is there twice is sent once", func(t *testing.T) {
		layer, err := random.Layer(1<<10, types.OCIUncompressedLayer)
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer, layer)
		if err != nil {
			t.Fatal(err)
		}
		layout, digest := registrytest.LayoutOf(t, image)
		pushed, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, nil)
		if err != nil || pushed.Sent != 2 || pushed.Present != 0 {
			t.Errorf("pushed %+v, %v", pushed, err)
		}
	})
	t.Run("what is not there", func(t *testing.T) {
		_, err := impatient(t, registry.Options{}).Push(t.Context(), t.TempDir(), digest, repository, nil)
		contains(t, err, "OCI layout", "build it again")
		_, err = impatient(t, registry.Options{}).Push(t.Context(), layout, "sha256:abc", repository, nil)
		contains(t, err, "is no image")
		_, err = impatient(t, registry.Options{}).Push(t.Context(), layout, "sha256:"+strings.Repeat("0", 64), repository, nil)
		contains(t, err, "OCI layout", "build it again")
	})
}

// spoil changes one byte of the largest blob.
func spoil(t *testing.T, layout, manifest string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs/sha256/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		content, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(manifest, filepath.Base(blob)) || content[0] == '{' {
			continue
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(blob, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRegistryDiesDuringPush(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := registrytest.Layout(t, 4<<10, 8<<10, 24<<20, 32<<20)
	var once sync.Once
	_, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, func(done, total int64) {
		// A small blob has arrived, and the large ones are on their way.
		if done < total && len(server.Blobs(repository)) > 0 {
			once.Do(server.Kill)
		}
	})
	contains(t, err, "push "+repository, "given up after", "is the registry "+server.Host+" there")
	t.Logf("the error: %v", err)

	server.Restart()
	if tags := server.Tags(repository); len(tags) > 0 {
		t.Errorf("half an image has the tags %q", tags)
	}
	if _, err := impatient(t, registry.Options{}).Resolve(t.Context(), repository+"@"+digest); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("half an image resolves: %v", err)
	}
	arrived := len(server.Blobs(repository))
	if arrived == 0 || arrived == 5 {
		t.Errorf("%d of 5 blobs have arrived: the registry was not killed in the middle", arrived)
	}
	pushed, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, nil)
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Present != arrived || pushed.Sent != 5-arrived || !pushed.New {
		t.Errorf("%d blobs had arrived, and then: %+v", arrived, pushed)
	}
	t.Logf("%d of 5 blobs had arrived, the next push sent %d with %d bytes", arrived, pushed.Sent, pushed.Bytes)
}

func TestRegistryComesBackDuringPush(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := registrytest.Layout(t, 4<<10, 24<<20)
	var once sync.Once
	back := make(chan struct{})
	client := impatient(t, registry.Options{Patience: time.Minute})
	_, err := client.Push(t.Context(), layout, digest, repository, func(done, total int64) {
		if done > total/2 {
			once.Do(func() {
				server.Kill()
				go func() {
					defer close(back)
					time.Sleep(200 * time.Millisecond)
					server.Restart()
				}()
			})
		}
	})
	<-back
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resolve(t.Context(), repository+"@"+digest); err != nil {
		t.Error(err)
	}
}

// A registry that was killed while it noted a blob answers 500 whenever it is asked for it.
func TestDamagedBlobIsSentAgain(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := push(t, impatient(t, registry.Options{}), repository, 4<<10)
	server.Kill()
	server.Damage(repository, server.Blobs(repository)[0])
	server.Restart()
	pushed, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, repository, nil)
	if err != nil || pushed.Sent != 1 || pushed.Present != 1 {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	if blobs := server.Blobs(repository); len(blobs) != 2 {
		t.Errorf("the registry has %q", blobs)
	}
}

func TestInterruptedPush(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := registrytest.Layout(t, 32<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted by the test")
	_, err := impatient(t, registry.Options{}).Push(ctx, layout, digest, repository, func(int64, int64) { cancel(interrupted) })
	if !errors.Is(err, interrupted) {
		t.Errorf("the error is %v", err)
	}
}

func TestWrongPassword(t *testing.T) {
	server := registrytest.Locked(t)
	repository := server.Host + "/meter-ml/model-api"
	layout, digest := registrytest.Layout(t, 1<<10)
	good := registry.Options{Host: server.Host, Username: registrytest.User, Password: registrytest.Password}
	if _, err := impatient(t, good).Push(t.Context(), layout, digest, repository, nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody is logged in
	const wrong = "s3cret/of:a+canary"
	for name, test := range map[string]struct {
		options registry.Options
		want    string
	}{
		"wrong":                   {registry.Options{Host: server.Host, Username: registrytest.User, Password: wrong}, `refuses the user "meter" (401)`},
		"none":                    {registry.Options{}, "refuses nobody in particular (401)"},
		"of another registry":     {registry.Options{Host: "registry.example", Username: registrytest.User, Password: registrytest.Password}, "refuses nobody in particular"},
		"of another port":         {registry.Options{Host: "127.0.0.1:1", Username: registrytest.User, Password: registrytest.Password}, "refuses nobody in particular"},
		"nearly the right one":    {registry.Options{Host: server.Host, Username: registrytest.User, Password: registrytest.Password + " "}, "refuses the user"},
		"the user name is hidden": {registry.Options{Host: server.Host, Username: "", Password: ""}, "docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := impatient(t, test.options).Push(t.Context(), layout, digest, repository, nil)
			contains(t, err, test.want, "REGISTRY_USERNAME", "docker login "+server.Host)
			if strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), registrytest.Password) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
	if _, err := registry.New(registry.Options{Username: "meter"}); err == nil {
		t.Error("half of the credentials are taken")
	}
}

func TestDockerCredentialStore(t *testing.T) {
	server := registrytest.Locked(t)
	config := t.TempDir()
	t.Setenv("DOCKER_CONFIG", config)
	login := base64.StdEncoding.EncodeToString([]byte(registrytest.User + ":" + registrytest.Password))
	content := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, server.Host, login)
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	push(t, impatient(t, registry.Options{}), server.Host+"/meter-ml/model-api", 1<<10)
}
