package tags

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

const (
	latest  = "-latest"
	longest = 128 // characters of a tag (OCI distribution specification)
	hashed  = 12  // hexadecimal digits of a name's hash: 48 bits
	// nameless stands for a branch whose name has no character that a tag may have.
	nameless = "branch"
)

var (
	foreign = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	// likeHashed is how changed names end. A branch that is called so gets a hash, too: else it could be given the tag
	// of another one on purpose.
	likeHashed = regexp.MustCompile(`-[0-9a-f]{12}$`)
)

// Branch is the tag of a branch, and what was changed in its name, if anything was. Two branches have two tags: a name
// stays as it is, or it ends in its own hash.
func Branch(name string) (tag, because string) {
	stem := strings.TrimLeft(foreign.ReplaceAllString(name, "-"), "-.")
	switch {
	case stem != name, stem == "":
		because = "; what no tag may hold became -, and a hash of the name keeps it apart from others"
	case len(name)+len(latest) > longest:
		because = "; the name is too long for a tag and was cut, and a hash of it keeps it apart from others"
	case likeHashed.MatchString(name):
		because = "; the name looks like one with a hash, so it gets its own"
	default:
		return name + latest, ""
	}
	stem = strings.TrimRight(stem[:min(len(stem), longest-len(latest)-hashed-1)], "-.")
	if stem == "" {
		stem = nameless
	}
	sum := sha256.Sum256([]byte(name))
	return stem + "-" + hex.EncodeToString(sum[:])[:hashed] + latest, because
}

// Version is the tag of a git tag that is a semantic version, and what was changed in it; or why there is none. Build
// metadata begins with +, which no tag may hold: it becomes _, which no version holds, so that no two get the same.
func Version(name string) (tag, because, why string) {
	switch {
	case semver.IsValid("v" + name):
		return "", "", "a version begins with v: v" + name
	case !semver.IsValid(name), semver.Canonical(name)+semver.Build(name) != name:
		return "", "", "it is no semantic version of the form v1.2.3"
	case strings.HasSuffix(name, latest):
		return "", "", "what ends in -latest is a branch's"
	case len(name) > longest:
		return "", "", "it is longer than the 128 characters that a tag may have"
	}
	if semver.Build(name) != "" {
		because = "; the + of build metadata, which no tag may hold, became _"
	}
	return strings.Replace(name, "+", "_", 1), because, ""
}
