package oci

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// mostLinks is how many symbolic links a path may lead through, as in Linux.
const mostLinks = 40

// A Tree is a file system. Directories that only a path names are there, too.
type Tree struct {
	file     *File // nil for a directory
	children map[string]*Tree
}

func newTree() *Tree { return &Tree{children: map[string]*Tree{}} }

// layerChange is what one layer changes. What it hides counts for lower layers only, wherever in the tar it stands.
type layerChange struct {
	number  int
	hidden  []string // what is gone
	emptied []string // of which all that is in it is gone
	added   []*File
}

func (c *layerChange) add(f *File) {
	switch f.Kind {
	case KindWhiteout:
		c.hidden = append(c.hidden, f.Path)
	case KindOpaque:
		c.emptied = append(c.emptied, f.Path)
	default:
		c.added = append(c.added, f)
	}
}

func (t *Tree) apply(c *layerChange) {
	for _, hidden := range c.hidden {
		dir, base := path.Split(hidden)
		if parent := t.at(strings.TrimSuffix(dir, "/")); parent != nil {
			delete(parent.children, base)
		}
	}
	for _, emptied := range c.emptied {
		if dir := t.at(emptied); dir != nil {
			clear(dir.children)
		}
	}
	for _, f := range c.added {
		t.put(f)
	}
}

// at finds a path literally, without following links.
func (t *Tree) at(file string) *Tree {
	if file == "" {
		return t
	}
	for part := range strings.SplitSeq(file, "/") {
		if t = t.children[part]; t == nil {
			return nil
		}
	}
	return t
}

// put lays a file where its path says, literally: where a directory above it is a link or a file, that gives way. So
// nothing that a layer brings is ever missing.
func (t *Tree) put(f *File) {
	dir, base := path.Split(f.Path)
	if f.Kind == KindHardlink {
		if target := t.at(f.Link); target != nil && target.file != nil {
			linked := *target.file
			linked.Path, linked.origin = f.Path, target.file.content()
			f = &linked
		}
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if part == "" {
			continue
		}
		next := t.children[part]
		if next == nil || next.children == nil {
			next = newTree()
			t.children[part] = next
		}
		t = next
	}
	switch old := t.children[base]; {
	case f.Kind != KindDir:
		t.children[base] = &Tree{file: f}
	case old == nil || old.children == nil:
		t.children[base] = newTree()
	}
}

// All visits every file and link in the order of their paths.
func (t *Tree) All(visit func(*File)) {
	if t.file != nil {
		visit(t.file)
	}
	for _, name := range slices.Sorted(maps.Keys(t.children)) {
		t.children[name].All(visit)
	}
}

func (t *Tree) size() int64 {
	var total int64
	counted := map[*File]bool{}
	t.All(func(f *File) {
		if content := f.content(); content.Kind == KindFile && !counted[content] {
			counted[content] = true
			total += content.Size
		}
	})
	return total
}

// Find returns what a path leads to, through links; nil if it leads nowhere.
func (t *Tree) Find(file string) *File {
	if node, _ := t.resolve(file); node != nil {
		return node.file
	}
	return nil
}

// resolve follows links as the kernel would in a container: an absolute one begins at the image's root, and nothing
// leads out of it. It returns the real path, too.
func (t *Tree) resolve(file string) (*Tree, string) {
	rest := strings.Split(file, "/")
	var at []string
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(len(at)-1, 0)]
			continue
		}
		node := t.at(path.Join(append(slices.Clone(at), part)...))
		if node == nil {
			return nil, ""
		}
		if node.file == nil || node.file.Kind != KindSymlink {
			at = append(at, part)
			continue
		}
		if links++; links > mostLinks || len(node.file.Link) > longestPath {
			return nil, ""
		}
		if strings.HasPrefix(node.file.Link, "/") {
			at = nil
		}
		rest = append(strings.Split(node.file.Link, "/"), rest...)
	}
	end := path.Join(at...)
	return t.at(end), end
}
