package oci

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Manager is what installed a package.
type Manager string

// Managers of packages.
const (
	Dpkg   Manager = "dpkg"
	Python Manager = "python"
)

// A Package is one that is installed in the final file system.
type Package struct {
	Manager      Manager
	Name         string // as its metadata write it; of Python see Canonical, too
	Version      string
	Architecture string   // of Debian packages
	Source       string   // the Debian source package, if it has another name
	Licenses     []string // as its metadata write them
	Expression   bool     // the one licence is an SPDX expression
	Path         string   // of the metadata: opt/venv/lib/python3.11/site-packages/a-1.dist-info/METADATA
	Layer        int      // that brought the metadata, from 0
	// Debian is the Debian package that a Python package belongs to: Debian looks after that one.
	Debian string
}

// Canonical is the name as an index of Python packages compares it (PEP 503).
func (p Package) Canonical() string { return canonical(p.Name) }

func canonical(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_.", r) }), "-")
}

const statusFile = "var/lib/dpkg/status"

// packages reads what dpkg and Python's installers have left, in the order of names.
func (t *Tree) packages() ([]Package, error) {
	packages, err := t.debian()
	if err != nil {
		return nil, err
	}
	found, err := t.python(t.owners())
	if err != nil {
		return nil, err
	}
	packages = append(packages, found...)
	slices.SortFunc(packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Canonical(), b.Canonical()), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Path, b.Path))
	})
	return packages, nil
}

// debian reads the status of dpkg, in one file or, as images without a package manager have it, in one for each.
func (t *Tree) debian() ([]Package, error) {
	var files []*File
	if f := t.Find(statusFile); f != nil {
		files = append(files, f)
	}
	if dir, _ := t.resolve(statusFile + ".d"); dir != nil {
		dir.All(func(f *File) {
			if !strings.HasSuffix(f.Path, ".md5sums") {
				files = append(files, f)
			}
		})
	}
	var packages []Package
	for _, f := range files {
		if f.Content == nil {
			return nil, fmt.Errorf("%s is no file of metadata, but leads elsewhere", f.Path)
		}
		found, err := ParseDpkg(f.Content)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Path, err)
		}
		for _, p := range found {
			p.Path, p.Layer = f.Path, f.Layer
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// owners say which Debian package brought a file.
func (t *Tree) owners() map[string]string {
	owners := map[string]string{}
	dir, _ := t.resolve("var/lib/dpkg/info")
	if dir == nil {
		return owners
	}
	dir.All(func(f *File) {
		name, ok := strings.CutSuffix(path.Base(f.Path), ".md5sums")
		if !ok {
			return
		}
		name, _, _ = strings.Cut(name, ":")
		for _, sum := range ParseMD5Sums(f.Content) {
			owners[sum.Path] = name
		}
	})
	return owners
}

// python finds every installed distribution, wherever it is: a second environment that nobody starts counts, too.
func (t *Tree) python(owners map[string]string) ([]Package, error) {
	search := pythonSearch{tree: t, owners: owners, seen: map[string]bool{}}
	search.in(t, nil)
	return search.found, errors.Join(search.problems...)
}

// pythonSearch goes through a file system once.
type pythonSearch struct {
	tree     *Tree
	owners   map[string]string
	seen     map[string]bool // real paths, since links lead to the same metadata
	found    []Package
	problems []error
}

func (s *pythonSearch) in(dir *Tree, at []string) {
	for _, name := range slices.Sorted(maps.Keys(dir.children)) {
		here := append(slices.Clip(at), name)
		file := path.Join(here...)
		target, _ := s.tree.resolve(file)
		isDir := target != nil && target.children != nil
		switch {
		case isDir && strings.HasSuffix(name, ".dist-info"):
			s.inDirectory(target, file, "METADATA")
		case isDir && (strings.HasSuffix(name, ".egg-info") || name == "EGG-INFO"):
			s.inDirectory(target, file, "PKG-INFO")
		case !isDir && strings.HasSuffix(name, ".egg-info"):
			s.add(file)
		}
		s.in(dir.children[name], here)
	}
}

// inDirectory wants the metadata in a directory for them. What a deletion left, an empty one, is none.
func (s *pythonSearch) inDirectory(dir *Tree, file, name string) {
	switch {
	case len(dir.children) == 0:
	case dir.children[name] == nil:
		s.problems = append(s.problems, fmt.Errorf("%s has no %s, so nobody can say which version is installed", file, name))
	default:
		s.add(file + "/" + name)
	}
}

func (s *pythonSearch) add(file string) {
	node, at := s.tree.resolve(file)
	switch {
	case node == nil || s.seen[at]:
		return
	case node.file == nil || node.file.Content == nil:
		s.problems = append(s.problems, fmt.Errorf("%s is no file of metadata, but leads to %s", file, at))
		return
	}
	s.seen[at] = true
	p, err := ParseMetadata(node.file.Content)
	if err != nil {
		s.problems = append(s.problems, fmt.Errorf("read %s: %w", file, err))
		return
	}
	p.Path, p.Layer, p.Debian = file, node.file.Layer, s.owners[at]
	s.found = append(s.found, p)
}
