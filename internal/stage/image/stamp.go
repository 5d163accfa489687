package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignoreFile says what of the project a build can see.
const ignoreFile = ".dockerignore"

// keySchema changes whenever images have to be built anew by all.
const keySchema = "1"

// key is one value for all that a build can see: the Dockerfile, its arguments, every file that .dockerignore lets
// through, and the model. Two builds of one key make one image, so that the second need not run. It is empty where that
// can't be said, since the base image is not pinned.
func key(root string, one job) (string, error) {
	dockerfile, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(one.Dockerfile)))
	if err != nil {
		return "", fmt.Errorf("read its Dockerfile: %w", err)
	}
	if base := one.args["BASE"]; base != "" && !strings.Contains(base, "@sha256:") {
		return "", nil
	}
	hash := sha256.New()
	say := func(parts ...string) {
		for _, part := range parts {
			_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part) // a hash takes everything
		}
	}
	say(keySchema, one.Dockerfile, string(dockerfile), one.digest)
	for _, name := range slices.Sorted(maps.Keys(one.args)) {
		say(name, one.args[name])
	}
	files, err := seen(root)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		say(file.path, file.mode.String(), file.sum)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// A seenFile is a file, link or directory that a build can see.
type seenFile struct {
	path string
	mode fs.FileMode
	sum  string // of the content; a link's is where it leads
}

// seen lists what .dockerignore lets through. Since it is an allow-list, only what it names is walked.
func seen(root string) ([]seenFile, error) {
	content, err := os.ReadFile(filepath.Join(root, ignoreFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: without it, a build sees the whole project", ignoreFile, err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ignoreFile, err)
	}
	allowed, err := allowList(patterns)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ignoreFile, err)
	}
	files := []seenFile{{path: ignoreFile, sum: string(content)}}
	for _, start := range allowed {
		found, err := below(root, start, matcher)
		if err != nil {
			return nil, fmt.Errorf("read what %s lets through: %w", ignoreFile, err)
		}
		files = append(files, found...)
	}
	slices.SortFunc(files, func(a, b seenFile) int { return strings.Compare(a.path, b.path) })
	return slices.Compact(files), nil
}

// allowList returns what the file names. It must begin with `*`, and name paths: what is matched by a pattern of its
// own could lie anywhere.
func allowList(patterns []string) ([]string, error) {
	if len(patterns) == 0 || patterns[0] != "*" {
		return nil, errors.New(ignoreFile + " is no allow-list: let it begin with a line `*`, then `!` and a path for each thing that a build may see")
	}
	var allowed []string
	for _, pattern := range patterns {
		name, ok := strings.CutPrefix(pattern, "!")
		if !ok {
			continue
		}
		if strings.ContainsAny(name, `*?[\`) || !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%s lets %q through: name paths without wildcards, so that it is known what a build sees", ignoreFile, name)
		}
		allowed = append(allowed, path.Clean(name))
	}
	return allowed, nil
}

func below(root, start string, matcher *patternmatcher.PatternMatcher) ([]seenFile, error) {
	var files []seenFile
	err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(start)), func(at string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // what is named and not there, no build sees
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		hidden, err := matcher.MatchesOrParentMatches(relative)
		if err != nil || hidden {
			return err // a directory may be hidden, and something in it not
		}
		file, err := describeFile(at, filepath.ToSlash(relative), entry)
		files = append(files, file)
		return err
	})
	return files, err
}

func describeFile(at, relative string, entry fs.DirEntry) (seenFile, error) {
	info, err := entry.Info()
	if err != nil {
		return seenFile{}, err
	}
	file := seenFile{path: relative, mode: info.Mode()}
	switch {
	case info.IsDir():
	case info.Mode()&fs.ModeSymlink != 0:
		file.sum, err = os.Readlink(at)
	case info.Mode().IsRegular():
		var content []byte
		content, err = os.ReadFile(at)
		sum := sha256.Sum256(content)
		file.sum = hex.EncodeToString(sum[:])
	default:
		err = fmt.Errorf("%s is no file, directory or link", relative)
	}
	return file, err
}
