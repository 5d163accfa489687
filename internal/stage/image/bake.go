package image

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// bakeTarget is one image in a file for docker buildx bake: https://docs.docker.com/build/bake/reference/.
type bakeTarget struct {
	Context    string            `json:"context"`
	Contexts   map[string]string `json:"contexts,omitempty"`
	Dockerfile string            `json:"dockerfile"`
	Args       map[string]string `json:"args"`
	Secret     []string          `json:"secret,omitempty"`
	Output     []string          `json:"output"`
	CacheFrom  []string          `json:"cache-from,omitempty"`
	CacheTo    []string          `json:"cache-to,omitempty"`
}

type bakeFile struct {
	Group  map[string]map[string][]string `json:"group"`
	Target map[string]bakeTarget          `json:"target"`
}

// literal takes the meaning from what bake would evaluate.
func literal(text string) string { return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(text) }

// attributes are the fields of one line of CSV, which may hold a comma.
func attributes(fields ...string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a Builder takes everything
	w.Flush()
	return literal(strings.TrimSuffix(b.String(), "\n"))
}

// writeBake says what is built, and where to. What is secret is named, and not held.
func (b builder) writeBake(path string, scope engine.Scope, building string, jobs []job) error {
	file := bakeFile{Group: map[string]map[string][]string{}, Target: map[string]bakeTarget{}}
	var names []string
	for _, one := range jobs {
		target := bakeTarget{
			Context: literal(scope.Root), Dockerfile: literal(one.Dockerfile), Args: map[string]string{},
			Secret: secretSources(scope.Env),
			Output: []string{attributes("type=oci", "tar=false", "dest="+filepath.Join(building, one.Name))},
		}
		for name, value := range one.args {
			target.Args[name] = literal(value)
		}
		if one.model != "" {
			target.Contexts = map[string]string{"model": literal(one.model)}
		}
		if cache := b.project.Image.Cache; cache != "" {
			ref := b.project.Image.Repository(scope.Env["METER_REGISTRY"], config.ContainerImage{Repository: cache}) + ":" + one.Name
			target.CacheFrom = []string{attributes("type=registry", "ref="+ref)}
			target.CacheTo = []string{attributes("type=registry", "mode=max", "ignore-error=true", "ref="+ref)}
		}
		file.Target[one.Name] = target
		names = append(names, one.Name)
	}
	file.Group["default"] = map[string][]string{"targets": names}
	content, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("write bake file: %w", err)
	}
	return os.WriteFile(path, content, 0o600)
}

// secretSources are what a machine needs to reach its package index: a bundle of certificates, and an address. They
// reach the build for the time of one command, and no layer.
func secretSources(env map[string]string) []string {
	var secrets []string
	for _, name := range []string{"PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} {
		if path := env[name]; filepath.IsAbs(path) {
			secrets = append(secrets, attributes("id=ca", "src="+path))
			break
		}
	}
	for _, name := range []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"} {
		if env[name] != "" {
			secrets = append(secrets, attributes("id=index", "env="+name))
			break
		}
	}
	return secrets
}

func overlaid(env, more map[string]string) map[string]string {
	all := maps.Clone(env)
	maps.Copy(all, more)
	return all
}
