package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Our own rules of Dockerfiles.
const (
	ruleRedirect = "pip-redirect"
	ruleBase     = "base-image"
	ruleUser     = "user"
	ruleHealth   = "health-check"
	ruleEntry    = "exec-form"
	ruleContext  = "allow-list"
)

// An instruction of a Dockerfile, with its continuation lines joined.
type instruction struct {
	line int
	word string // in capitals
	text string
}

// instructions reads a Dockerfile as far as the rules need it: continuation lines and comments, no here-documents.
func instructions(content string) []instruction {
	var all []instruction
	var open *instruction
	number := 0
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue // a comment does not end an instruction that goes on
		}
		text, more := strings.CutSuffix(line, `\`)
		if open == nil {
			word, rest, _ := strings.Cut(text, " ")
			all = append(all, instruction{line: number, word: strings.ToUpper(word), text: strings.TrimSpace(rest)})
			open = &all[len(all)-1]
		} else {
			open.text += " " + strings.TrimSpace(text)
		}
		if !more {
			open = nil
		}
	}
	return all
}

// lastStage is what the image is made from.
func lastStage(all []instruction) []instruction {
	start := 0
	for i, in := range all {
		if in.word == "FROM" {
			start = i
		}
	}
	return all[start:]
}

// judgeDockerfiles holds each Dockerfile against our own rules.
func judgeDockerfiles(root string, p *config.Project, images []config.ContainerImage) ([]engine.Finding, error) {
	findings, err := judgeContext(root)
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(image.Dockerfile)))
		if err != nil {
			return nil, fmt.Errorf("read Dockerfile of %s: %w: correct image.images in %s", image.Name, err, config.FileName)
		}
		for _, f := range judgeDockerfile(string(content), p.Image.Base) {
			f.Path = image.Dockerfile
			findings = append(findings, f)
		}
	}
	return findings, nil
}

func judgeContext(root string) ([]engine.Finding, error) {
	_, err := seen(root)
	var path *fs.PathError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return []engine.Finding{{
		Rule: ruleContext, Severity: engine.SeverityHigh, Path: ignoreFile, Message: err.Error(),
		Help: "begin it with a line `*`, then one line `!path` for each thing that a build may see",
	}}, nil
}

func judgeDockerfile(content, base string) []engine.Finding {
	all := instructions(content)
	if !slices.ContainsFunc(all, func(in instruction) bool { return in.word == "FROM" }) {
		return []engine.Finding{{Rule: ruleBase, Severity: engine.SeverityHigh, Line: 1, Message: "it has no FROM, so nothing is built", Help: "begin with FROM"}}
	}
	findings := slices.Concat(judgeBase(all, base), judgeLast(lastStage(all)))
	for _, in := range all {
		if in.word == "RUN" && redirects(in.text) {
			findings = append(findings, engine.Finding{
				Rule: ruleRedirect, Severity: engine.SeverityHigh, Line: in.line,
				Message: "an unquoted > in pip install writes to a file: the shell takes it for a redirect, and pip sees no version",
				Help:    `quote the requirement, pip install "package>=1.0", or name a hash-pinned requirements file`,
			})
		}
	}
	return findings
}

// judgeBase holds the default of ARG BASE equal to the one place that says what images are built from.
func judgeBase(all []instruction, base string) []engine.Finding {
	finding := engine.Finding{Rule: ruleBase, Severity: engine.SeverityMedium, Help: "write ARG BASE=" + base + " before the first FROM, and FROM ${BASE}"}
	for _, in := range all {
		switch name, value, _ := strings.Cut(in.text, "="); {
		case in.word == "FROM":
			finding.Line, finding.Message = in.line, "what the image is built from can't be set: there is no ARG BASE before the first FROM"
			return []engine.Finding{finding}
		case in.word == "ARG" && name == "BASE":
			if strings.Trim(value, `"'`) == base {
				return nil
			}
			finding.Line, finding.Message = in.line, "the default of BASE is not image.base of "+config.FileName+", so a build by hand gives another image"
			return []engine.Finding{finding}
		}
	}
	return nil
}

// judgeLast holds the last stage to what every image has.
func judgeLast(last []instruction) []engine.Finding {
	latest := map[string]instruction{}
	for _, in := range last {
		latest[in.word] = in
	}
	from := latest["FROM"].line
	var findings []engine.Finding
	found := func(rule string, line int, message, help string) {
		findings = append(findings, engine.Finding{Rule: rule, Severity: engine.SeverityMedium, Line: line, Message: message, Help: help})
	}
	switch user, ok := latest["USER"]; {
	case !ok:
		found(ruleUser, from, "the last stage has no USER, so it runs as root", userHelp)
	case !numericUser.MatchString(user.text):
		found(ruleUser, user.line, fmt.Sprintf("USER is %q: root, or no number", user.text), userHelp)
	}
	if health, ok := latest["HEALTHCHECK"]; !ok {
		found(ruleHealth, from, "the last stage has no HEALTHCHECK", healthHelp)
	} else if strings.EqualFold(health.text, "NONE") {
		found(ruleHealth, health.line, "HEALTHCHECK is NONE", healthHelp)
	}
	if entry, ok := latest["ENTRYPOINT"]; !ok {
		found(ruleEntry, from, "the last stage has no ENTRYPOINT", entryHelp)
	} else if !json.Valid([]byte(entry.text)) || !strings.HasPrefix(entry.text, "[") {
		found(ruleEntry, entry.line, "ENTRYPOINT is in its shell form: the shell does not pass signals on", entryHelp)
	}
	return findings
}

var (
	pipInstall = regexp.MustCompile(`(?:^|[\s/])pip3?(?:\.[0-9]+)?\s(?:[^&|;]*\s)?install\s`)
	commands   = regexp.MustCompile(`&&|\|\||[;|]`)
)

// redirects reports whether a pip install has a > that no quotes protect.
func redirects(text string) bool {
	for _, command := range commands.Split(unquoted(text), -1) {
		if pipInstall.MatchString(command+" ") && strings.Contains(command, ">") {
			return true
		}
	}
	return false
}

// unquoted is a command line without what stands in quotes or behind a backslash.
func unquoted(text string) string {
	var b strings.Builder
	var quote rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
