package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// schemaHead is the newest revision of Alembic's in a directory: the one that no other follows.
func schemaHead(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.py"))
	if err != nil {
		return "", fmt.Errorf("find the schema's head: %w", err)
	}
	own := regexp.MustCompile(`(?m)^revision(?:: *[A-Za-z| \[\]]+)? *= *["']([A-Za-z0-9_.-]+)["']`)
	before := regexp.MustCompile(`(?m)^down_revision(?:: *[A-Za-z| \[\]]+)? *= *["']([A-Za-z0-9_.-]+)["']`)
	var heads, followed []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("find the schema's head: %w", err)
		}
		if m := own.FindSubmatch(content); m != nil {
			heads = append(heads, string(m[1]))
		}
		if m := before.FindSubmatch(content); m != nil {
			followed = append(followed, string(m[1]))
		}
	}
	heads = slices.DeleteFunc(heads, func(head string) bool { return slices.Contains(followed, head) })
	if len(heads) != 1 {
		return "", fmt.Errorf("find the schema's head: %s has %d revisions that no other follows (%s): there must be one", dir, len(heads), strings.Join(heads, ", "))
	}
	return heads[0], nil
}
