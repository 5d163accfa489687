package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Image configures the stage of that name.
type Image struct {
	Registry  string           `yaml:"registry"`  // host that images are pushed to; METER_REGISTRY comes first
	Owner     string           `yaml:"owner"`     // path below it
	Source    string           `yaml:"source"`    // address of the source, for the label org.opencontainers.image.source
	Base      string           `yaml:"base"`      // what every image is built from, pinned by digest; METER_BASE_IMAGE comes first
	Builder   string           `yaml:"builder"`   // of docker buildx; METER_BUILDER comes first; empty: one of our own is made
	Directory string           `yaml:"directory"` // where built images are kept, each an OCI layout
	Cache     string           `yaml:"cache"`     // repository below owner for the build cache; empty: a local one only
	Images    []ContainerImage `yaml:"images"`
}

// Repository is where an image is pushed to, in full. Host is the value of METER_REGISTRY; empty, it is the configured one.
func (i Image) Repository(host string, image ContainerImage) string {
	return path.Join(cmp.Or(host, i.Registry), i.Owner, image.Repository)
}

// A ContainerImage is one image that is built, judged and pushed.
type ContainerImage struct {
	Name         string `yaml:"name"`       // of the image in targets: model_api
	Judges       string `yaml:"judges"`     // what it holds, a short phrase
	Dockerfile   string `yaml:"dockerfile"` // the context is the project's root
	Repository   string `yaml:"repository"` // below registry and owner
	Requirements string `yaml:"requirements"`
	Model        bool   `yaml:"model"`  // the champion is baked in, as the build context "model"
	Budget       int    `yaml:"budget"` // MB (10^6 bytes) that it may take unpacked
	Smoke        Smoke  `yaml:"smoke"`
}

// Smoke says how a container of an image is judged: it starts, becomes healthy, answers, and stops when it is told to.
type Smoke struct {
	Command []string          `yaml:"command"` // instead of the image's own; empty: the image's
	Env     map[string]string `yaml:"env"`
	Port    int               `yaml:"port"`    // that it listens on
	Path    string            `yaml:"path"`    // answers GET with 200
	Healthy Duration          `yaml:"healthy"` // within which it must be
	Stop    Duration          `yaml:"stop"`    // within which SIGTERM must end it, with exit code 0
	Memory  int               `yaml:"memory"`  // MiB that it may take
	Tmpfs   []string          `yaml:"tmpfs"`   // directories that it may write to; the root file system is read-only
	Request SmokeRequest      `yaml:"request"` // that it answers, too; empty: none
}

// SmokeRequest is one that is sent by POST and must be answered with 200.
type SmokeRequest struct {
	Path string `yaml:"path"`
	Body string `yaml:"body"` // JSON
}

var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	registryHost   = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?$`)
)

func (v *validator) image() {
	i := v.project.Image
	if !registryHost.MatchString(i.Registry) {
		v.Report("image.registry", fmt.Sprintf("image.registry is %q", i.Registry), "write a host, with a port if it has one: ghcr.io")
	}
	if i.Owner != "" && !repositoryName.MatchString(i.Owner) {
		v.Report("image.owner", fmt.Sprintf("image.owner is %q", i.Owner), "registries take lower-case letters and digits, with . _ - and / between them")
	}
	v.path("image.directory", i.Directory, false)
	var names, repositories []string
	for n, image := range i.Images {
		key := fmt.Sprintf("image.images[%d]", n)
		names = v.benchmarkName(key, image.Name, names)
		switch {
		case !repositoryName.MatchString(image.Repository):
			v.Report(key+".repository", fmt.Sprintf("%s.repository is %q", key, image.Repository), "registries take lower-case letters and digits, with . _ - and / between them")
		case slices.Contains(repositories, image.Repository):
			v.Report(key+".repository", fmt.Sprintf("%s.repository is %q, which another image has", key, image.Repository), "give each image a repository of its own")
		}
		repositories = append(repositories, image.Repository)
		v.path(key+".dockerfile", image.Dockerfile, false)
		v.path(key+".requirements", image.Requirements, true)
		v.within(key+".budget", float64(image.Budget), 1, 100_000, "it is in MB")
		v.smoke(key+".smoke", image.Smoke)
	}
}

func (v *validator) smoke(key string, s Smoke) {
	v.within(key+".port", float64(s.Port), 1, 65535, "it is the port that the program in the container listens on")
	if !strings.HasPrefix(s.Path, "/") {
		v.Report(key+".path", fmt.Sprintf("%s.path is %q", key, s.Path), "write a path of the server, which begins with /")
	}
	if r := s.Request; r != (SmokeRequest{}) && (!strings.HasPrefix(r.Path, "/") || !json.Valid([]byte(r.Body))) {
		v.Report(key+".request", key+".request has no path that begins with /, or a body that is no JSON", "give both, or neither")
	}
	v.positive(key+".healthy", s.Healthy)
	v.positive(key+".stop", s.Stop)
	v.within(key+".memory", float64(s.Memory), 16, 1_000_000, "it is in MiB")
	for n, dir := range s.Tmpfs {
		if !strings.HasPrefix(dir, "/") {
			v.Report(fmt.Sprintf("%s.tmpfs[%d]", key, n), fmt.Sprintf("%s.tmpfs[%d] is %q", key, n, dir), "write an absolute path of the container")
		}
	}
}
