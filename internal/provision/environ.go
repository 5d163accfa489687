package provision

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// environ is an environment by name: the only one that this package knows.
type environ map[string]string

func newEnviron(entries []string) environ {
	env := make(environ, len(entries))
	for _, entry := range entries {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			env[key] = value
		}
	}
	return env
}

// with returns a copy with more variables; an empty value takes a variable away.
func (e environ) with(extra map[string]string) environ {
	env := maps.Clone(e)
	for key, value := range extra {
		if value == "" {
			delete(env, key)
		} else {
			env[key] = value
		}
	}
	return env
}

func (e environ) list() []string {
	list := make([]string, 0, len(e))
	for _, key := range slices.Sorted(maps.Keys(e)) {
		list = append(list, key+"="+e[key])
	}
	return list
}

// lookPath finds a program on PATH.
func (e environ) lookPath(name string) (string, bool) {
	for _, path := range e.lookPaths(name) {
		return path, true
	}
	return "", false
}

// lookPaths finds every program of a name on PATH: the first may be a version manager's stand-in for nothing.
// Relative directories in PATH are passed over, as they would let the project that is judged choose its judge.
func (e environ) lookPaths(name string) []string {
	var found []string
	for _, dir := range filepath.SplitList(e["PATH"]) {
		if path := filepath.Join(dir, name); filepath.IsAbs(dir) && executable(path) {
			found = append(found, path)
		}
	}
	return found
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// cacheDir is where this user's programs keep what they can make again.
func (e environ) cacheDir(goos string) (string, bool) {
	if dir := e["XDG_CACHE_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "meter-pipeline"), true
	}
	home := e["HOME"]
	if !filepath.IsAbs(home) {
		return "", false
	}
	if goos == "darwin" {
		return filepath.Join(home, "Library", "Caches", "meter-pipeline"), true
	}
	return filepath.Join(home, ".cache", "meter-pipeline"), true
}
