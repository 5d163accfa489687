package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// fields reads "Key: value" up to the first empty line, as dpkg and Python's metadata write it. Lines that continue one
// are left out; each receives its key and value.
func fields(text []byte, each func(key, value string)) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 {
			return
		}
		key, value, ok := strings.Cut(string(line), ":")
		if !ok || strings.HasPrefix(key, " ") || strings.HasPrefix(key, "\t") {
			continue
		}
		each(strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value))
	}
}

// ParseDpkg reads dpkg's status: one paragraph a package, of which those count that are unpacked.
func ParseDpkg(content []byte) ([]Package, error) {
	var packages []Package
	for paragraph := range bytes.SplitSeq(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), []byte("\n\n")) {
		paragraph = bytes.TrimLeft(paragraph, "\n")
		if len(bytes.TrimSpace(paragraph)) == 0 {
			continue
		}
		p, status := Package{Manager: Dpkg}, ""
		fields(paragraph, func(key, value string) {
			switch key {
			case "package":
				p.Name = value
			case "version":
				p.Version = value
			case "architecture":
				p.Architecture = value
			case "source":
				p.Source, _, _ = strings.Cut(value, " ")
			case "status":
				status = value
			}
		})
		if strings.HasSuffix(status, " not-installed") || strings.HasSuffix(status, " config-files") {
			continue
		}
		if p.Name == "" || p.Version == "" || !utf8.ValidString(p.Name+p.Version) {
			return nil, fmt.Errorf("package %d has no name or no version", len(packages)+1)
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// ParseMetadata reads METADATA or PKG-INFO of a Python distribution.
func ParseMetadata(content []byte) (Package, error) {
	p := Package{Manager: Python}
	var expression, plainText string
	var classifiers []string
	fields(bytes.TrimPrefix(content, []byte("\ufeff")), func(key, value string) {
		switch key {
		case "name":
			p.Name = value
		case "version":
			p.Version = value
		case "license-expression":
			expression = value
		case "license":
			plainText = value
		case "classifier":
			if name := licenseName(value); name != "" {
				classifiers = append(classifiers, name)
			}
		}
	})
	if canonical(p.Name) == "" || p.Version == "" || !utf8.ValidString(p.Name+p.Version) {
		return p, errors.New("it has no name or no version")
	}
	switch {
	case expression != "":
		p.Licenses, p.Expression = []string{expression}, true
	case len(classifiers) > 0:
		p.Licenses = classifiers
	case plainText != "" && !strings.EqualFold(plainText, "unknown"):
		p.Licenses = []string{plainText}
	}
	return p, nil
}

// licenseName reads "License :: OSI Approved :: MIT License". The two words in the middle name no licence.
func licenseName(classifier string) string {
	rest, ok := strings.CutPrefix(classifier, "License :: ")
	if !ok || rest == "OSI Approved" {
		return ""
	}
	if at := strings.LastIndex(rest, " :: "); at >= 0 {
		rest = rest[at+len(" :: "):]
	}
	return rest
}

// A Sum is what a package's own list says of one of its files.
type Sum struct {
	Path string // in the image
	Sum  []byte
}

// ParseMD5Sums reads dpkg's list of a package. Lines that are none say nothing.
func ParseMD5Sums(content []byte) []Sum {
	var sums []Sum
	for line := range bytes.Lines(content) {
		sum, name, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), "  ")
		digest, err := hex.DecodeString(sum)
		if !ok || err != nil || len(digest) != 16 || name == "" {
			continue
		}
		sums = append(sums, Sum{strings.TrimPrefix(path.Clean("/"+name), "/"), digest})
	}
	return sums
}

// ParseRecord reads RECORD of a Python distribution, whose path in the image is needed because its paths are relative.
// Files without a SHA-256 say nothing.
func ParseRecord(file string, content []byte) []Sum {
	site := path.Dir(path.Dir("/" + file))
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord, reader.ReuseRecord = -1, true
	var sums []Sum
	for {
		row, err := reader.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil // what can't be read vouches for nothing
			}
			return sums
		}
		if len(row) < 2 {
			continue
		}
		encoded, ok := strings.CutPrefix(row[1], "sha256=")
		digest, err := base64.RawURLEncoding.DecodeString(encoded)
		if !ok || err != nil || len(digest) != 32 {
			continue
		}
		name := row[0]
		if !path.IsAbs(name) {
			name = path.Join(site, name)
		}
		sums = append(sums, Sum{strings.TrimPrefix(path.Clean(name), "/"), digest})
	}
}
