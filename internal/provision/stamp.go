package provision

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// stampName is the file that says that an environment is complete, and what it was made from.
	stampName = ".meter-pipeline.json"
	// stampSchema changes whenever environments have to be made anew by all.
	stampSchema = 1
)

// A stamp is written into an environment as the last act of making it, and removed before it is touched again.
type stamp struct {
	Schema       int         `json:"schema"`
	Directory    string      `json:"directory"` // an environment can't be moved: its scripts name its path
	Python       string      `json:"python"`    // the wanted version
	Requirements string      `json:"requirements_sha256"`
	Packages     string      `json:"packages_sha256"` // of the names of what is installed: somebody else may install too
	Count        int         `json:"packages"`
	Interpreter  interpreter `json:"interpreter"`
	UV           string      `json:"uv"` // for the record: another uv makes the same environment
}

// interpreter identifies the Python behind an environment: removed or replaced, the environment is of no use.
type interpreter struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified_ns"`
	Version  string `json:"version"`
}

// freshness of an environment.
type freshness int

const (
	absent  freshness = iota // to be made from nothing
	stale                    // complete, but of other requirements: to be brought up to date
	current                  // as it should be
)

// inspect says whether an environment is as it should be, and if not, why. It starts no program.
func inspect(spec pythonSpec) (freshness, stamp, string) {
	content, err := os.ReadFile(filepath.Join(spec.dir, stampName))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !exists(spec.dir):
		return absent, stamp{}, "it is not there"
	case errors.Is(err, fs.ErrNotExist):
		return absent, stamp{}, "it was not completed, or not made by the pipeline"
	case err != nil:
		return absent, stamp{}, "its stamp can't be read"
	}
	var s stamp
	if err := json.Unmarshal(content, &s); err != nil || s.Schema != stampSchema {
		return absent, stamp{}, "it was made by another version of the pipeline"
	}
	if s.Directory != spec.dir {
		return absent, s, "it was made at " + s.Directory
	}
	if s.Python != spec.version {
		return absent, s, fmt.Sprintf("it has Python %s, and %s is wanted", s.Python, spec.version)
	}
	now, err := findInterpreter(spec.dir)
	if err != nil {
		return absent, s, "its Python is gone"
	}
	if now.Version = s.Interpreter.Version; now != s.Interpreter {
		return absent, s, "its Python was replaced"
	}
	requirements, err := hashFile(spec.requirements)
	if err != nil || requirements != s.Requirements {
		return stale, s, "the requirements changed"
	}
	if packages, _ := installed(spec.dir); packages != s.Packages {
		return stale, s, "somebody else installed or removed packages"
	}
	return current, s, ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func hashFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// findInterpreter follows an environment's Python to the real one.
func findInterpreter(dir string) (interpreter, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(dir, "bin", "python"))
	if err != nil {
		return interpreter{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return interpreter{}, err
	}
	if info.Mode()&0o111 == 0 {
		return interpreter{}, errors.New("it is not executable")
	}
	return interpreter{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano()}, nil
}

// installed hashes the names of an environment's installed distributions, which contain their versions.
func installed(dir string) (hash string, count int) {
	sum := sha256.New()
	roots, _ := filepath.Glob(filepath.Join(globQuote(dir), "lib", "python*", "site-packages"))
	for _, root := range roots {
		entries, err := os.ReadDir(root) // sorted
		if err != nil {
			continue // its names are missing from the hash, which is what counts
		}
		for _, entry := range entries {
			name := entry.Name()
			if strings.HasSuffix(name, ".dist-info") || strings.HasSuffix(name, ".egg-info") || strings.HasSuffix(name, ".pth") {
				sum.Write([]byte(name + "\n"))
			}
			if strings.HasSuffix(name, ".dist-info") {
				count++
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), count
}

// globQuote takes the meaning from characters that are special in a pattern; paths may contain them.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// pythonVersion reads the interpreter's version from an environment's pyvenv.cfg.
func pythonVersion(dir string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "pyvenv.cfg"))
	if err != nil {
		return "", err
	}
	for line := range bytes.Lines(content) {
		key, value, ok := strings.Cut(string(line), "=")
		if key = strings.TrimSpace(key); ok && (key == "version_info" || key == "version") {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errors.New("pyvenv.cfg names no version")
}
