// Package standin makes images that take the place of public ones, where none can be pulled: from the test machine's base
// image and Debian's packages, or the machine's own programs. They do what docker/compose.yaml and the agent's Dockerfile
// ask of the public ones, and no more. The names of all images are configuration, whose defaults are the public ones.
//
// Each is made once, and kept on the engine under a tag that is the hash of all that went into it.
package standin

import (
	"context"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

// The public images, by what they are here.
const (
	postgres  = "postgres"   // postgres:15, which runs as user 999
	proxy     = "proxy"      // haproxy:3.0, which runs as user 99; it is HAProxy 2.6
	registry  = "registry"   // registry:2
	dockerCLI = "docker-cli" // docker:28-cli: docker and docker compose
)

// Names are those of all of them, for Image.
func Names() []string { return []string{postgres, proxy, registry, dockerCLI} }

// Postgres is the name of an image like postgres:15 on the machine's engine.
func Postgres(t testing.TB, m *imagetest.Machine) string { return get(t, m, postgres) }

// Proxy is the name of an image like haproxy:3.0.
func Proxy(t testing.TB, m *imagetest.Machine) string { return get(t, m, proxy) }

// Registry is the name of an image like registry:2, which serves on port 5000 and keeps its files in /var/lib/registry.
func Registry(t testing.TB, m *imagetest.Machine) string { return get(t, m, registry) }

// DockerCLI is the name of an image like docker:28-cli, with the docker and docker compose of the machine.
func DockerCLI(t testing.TB, m *imagetest.Machine) string { return get(t, m, dockerCLI) }

func get(t testing.TB, m *imagetest.Machine, name string) string {
	t.Helper()
	image, err := Image(context.WithoutCancel(t.Context()), m, name, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
