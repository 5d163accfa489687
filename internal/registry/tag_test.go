package registry_test

import (
	"errors"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

func TestTags(t *testing.T) {
	server := registrytest.Start(t)
	repository := server.Host + "/meter-ml/model-api"
	client := impatient(t, registry.Options{})
	_, first := push(t, client, repository, 1<<10)
	_, second := push(t, client, repository, 1<<10)
	for _, step := range []struct {
		digest, tag string
		fixed       bool
		changed     bool
	}{
		{first, "v1.2.3", true, true},
		{first, "v1.2.3", true, false},
		{first, "main-latest", false, true},
		{first, "main-latest", false, false},
		{second, "main-latest", false, true},
	} {
		changed, err := client.Tag(t.Context(), repository, step.digest, step.tag, step.fixed)
		if err != nil || changed != step.changed {
			t.Errorf("%+v: changed %t, %v", step, changed, err)
		}
		if resolved, err := client.Resolve(t.Context(), repository+":"+step.tag); err != nil || resolved.Digest != step.digest {
			t.Errorf("%+v: it is %+v, %v", step, resolved, err)
		}
	}

	t.Run("a version never moves", func(t *testing.T) {
		_, err := client.Tag(t.Context(), repository, second, "v1.2.3", true)
		contains(t, err, repository+":v1.2.3", first, second, "never moves")
		if _, ok := errors.AsType[*registry.MovedError](err); !ok {
			t.Errorf("it is a %T", err)
		}
		if resolved, err := client.Resolve(t.Context(), repository+":v1.2.3"); err != nil || resolved.Digest != first {
			t.Errorf("it is %+v, %v", resolved, err)
		}
	})
	t.Run("what can't be tagged", func(t *testing.T) {
		if _, err := client.Tag(t.Context(), repository, nothing, "latest", false); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("nothing: %v", err)
		}
		_, err := client.Tag(t.Context(), repository, first, "no tag\x1b[31m", false)
		contains(t, err, "no tag")
	})
	t.Run("references in full", func(t *testing.T) {
		for _, reference := range []string{"model-api", "meter-ml/model-api:latest", repository, "", "\x1b[31m"} {
			if _, err := client.Resolve(t.Context(), reference); err == nil || errors.Is(err, registry.ErrNotFound) {
				t.Errorf("%q: %v", reference, err)
			}
		}
		if _, err := client.Resolve(t.Context(), repository+":nothing"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}
