package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Masked stands for a secret's value wherever values are shown.
const Masked = "********"

// Origin says where a variable's value comes from.
type Origin string

// Origins; the process environment comes first.
const (
	OriginProcess Origin = "process environment"
	OriginFile    Origin = "file"
	OriginNone    Origin = "missing"
)

// A Variable is one setting of an environment.
type Variable struct {
	Name     string
	Value    string // never to be printed if Secret: see Shown
	Origin   Origin
	Secret   bool
	Required bool
}

// Shown is the value as it may be printed.
func (v Variable) Shown() string {
	if v.Secret && v.Value != "" {
		return Masked
	}
	return v.Value
}

// Variables are the settings of one environment, sorted by name.
type Variables []Variable

// Missing are the required ones without a value.
func (vs Variables) Missing() Variables {
	var missing Variables
	for _, v := range vs {
		if v.Required && v.Value == "" {
			missing = append(missing, v)
		}
	}
	return missing
}

// Environment reads env/<name>.env, with the process environment (as os.Environ gives it) before it. A secret that
// the file holds is refused: secrets come from the process environment only.
func (p *Project) Environment(name string, process []string) (Variables, error) {
	declared, ok := p.Environments[name]
	if !ok {
		return nil, Problems{{File: FileName, Message: fmt.Sprintf("there is no environment %q", name), Remedy: strict.Suggest(name, slices.Sorted(maps.Keys(p.Environments)))}}
	}
	file := filepath.ToSlash(filepath.Join("env", name+".env"))
	fromFile, err := readEnvFile(filepath.Join(p.Root, "env", name+".env"), file)
	if err != nil {
		return nil, err
	}
	fromProcess := map[string]string{}
	for _, entry := range process {
		if key, value, ok := strings.Cut(entry, "="); ok {
			fromProcess[key] = value
		}
	}
	names := map[string]bool{}
	for _, variable := range slices.Concat(declared.Required, declared.Secrets, slices.Collect(maps.Keys(fromFile))) {
		names[variable] = true
	}
	var variables Variables
	var problems Problems
	for _, variable := range slices.Sorted(maps.Keys(names)) {
		v := Variable{
			Name:     variable,
			Secret:   slices.Contains(declared.Secrets, variable) || p.IsSecret(variable),
			Required: slices.Contains(declared.Required, variable),
			Origin:   OriginNone,
		}
		if v.Secret && fromFile[variable] != "" {
			problems = append(problems, Problem{File: file, Message: variable + " is a secret, and has a value here", Remedy: "take it out, and set it in the process environment"})
		}
		if value := fromFile[variable]; value != "" {
			v.Value, v.Origin = value, OriginFile
		}
		if value := fromProcess[variable]; value != "" {
			v.Value, v.Origin = value, OriginProcess
		}
		variables = append(variables, v)
	}
	return variables, problems.Err()
}

// readEnvFile parses one file of names and values.
func readEnvFile(path, shown string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Problems{{File: shown, Message: "there is no such file", Remedy: "make it from env/.env.example"}}
	case err != nil:
		return nil, Problems{{File: shown, Message: "read: " + strict.Reason(err)}}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if line, ok := strict.InvalidText(content); !ok {
		return nil, Problems{{File: shown, Line: line, Message: "it is not UTF-8 text", Remedy: "save it as UTF-8"}}
	}
	values, err := godotenv.UnmarshalBytes(content)
	if err != nil {
		// The library's message quotes the rest of the file, which may hold a secret; only its place is given.
		return nil, Problems{{File: shown, Line: badEnvLine(content), Message: "a line is not NAME=value", Remedy: "write NAME=value, and put a value with spaces or # in quotes"}}
	}
	for name := range values {
		if !validVariable(name) {
			return nil, Problems{{File: shown, Message: fmt.Sprintf("%q is no name for a variable", name), Remedy: "use capital letters, digits and underscores"}}
		}
	}
	return values, nil
}

// badEnvLine finds the line at which the file stops being readable: the first at whose end it does not parse.
func badEnvLine(content []byte) int {
	lines := bytes.SplitAfter(content, []byte("\n"))
	for i := range lines {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:i+1], nil)); err != nil {
			return i + 1
		}
	}
	return 0
}

// IsSecret reports whether some environment declares the variable a secret, or its name says that it is one.
func (p *Project) IsSecret(name string) bool {
	for _, environment := range p.Environments {
		if slices.Contains(environment.Secrets, name) {
			return true
		}
	}
	return soundsSecret(name)
}

// soundsSecret guards what nobody declared: such names are masked, and refused in files.
func soundsSecret(name string) bool {
	return regexp.MustCompile(`(^|_)(SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIALS?|WEBHOOK|PRIVATE|API_?KEY|EVIDENCE_KEY|SMTP_URL|DSN)(_|$)`).MatchString(name)
}

func validVariable(name string) bool {
	return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`).MatchString(name)
}

func validEnvironmentName(name string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(name)
}
