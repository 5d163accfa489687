package image

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// How BuildKit's plain progress speaks of an instruction, and of its end. The last line of all may be about another
// image, whose build was broken off because of it.
var (
	begunLine = regexp.MustCompile(`(?m)^#(\d+) \[([^\]]*)\] (.*)$`)
	errorLine = regexp.MustCompile(`(?m)^#(\d+) ERROR: (.*)$`)
	parseLine = regexp.MustCompile(`(?m)^ERROR: (?:target (\S+): )?failed to solve: dockerfile parse error on line (\d+): (.*)$`)
	// wrongCode are ends that an instruction has by itself.
	wrongCode = regexp.MustCompile(`did not complete successfully: exit code|failed to calculate checksum|failed to compute cache key`)
)

// failedBuild tells an image that can't be built, which is a finding, from a builder that did not come to it.
func failedBuild(root string, jobs []job, out engine.Output) (*engine.Finding, error) {
	text := string(out.Stderr)
	if !unreachable(text) {
		if m := parseLine.FindStringSubmatch(text); m != nil {
			line, _ := strconv.Atoi(m[2]) // digits
			return buildFinding(jobOf(jobs, m[1]), line, m[3]), nil
		}
		for _, m := range errorLine.FindAllStringSubmatch(text, -1) {
			if wrongCode.MatchString(m[2]) {
				one, line := whereFailed(root, jobs, text, m[1])
				return buildFinding(one, line, m[2]), nil
			}
		}
	}
	return nil, fmt.Errorf("docker buildx bake failed with exit code %d: %s", out.ExitCode, python.LastLine(out.Stderr, out.Stdout))
}

func buildFinding(one *job, line int, message string) *engine.Finding {
	finding := engine.Finding{
		Rule: "build", Severity: engine.SeverityHigh, Message: plain.Line(python.Shorten(message, 300)),
		Help: "the log of this step has what the instruction wrote",
	}
	if one != nil {
		finding.Path, finding.Line = one.Dockerfile, line
	}
	return &finding
}

// jobOf returns an image by the name that BuildKit gives it: none where there is only one.
func jobOf(jobs []job, name string) *job {
	for i := range jobs {
		if jobs[i].Name == name || len(jobs) == 1 {
			return &jobs[i]
		}
	}
	return nil
}

// whereFailed finds the instruction that BuildKit calls by this number: "[airflow packages 2/2] RUN …".
func whereFailed(root string, jobs []job, text, number string) (*job, int) {
	for _, m := range begunLine.FindAllStringSubmatch(text, -1) {
		if m[1] != number {
			continue
		}
		name, _, _ := strings.Cut(m[2], " ")
		one := jobOf(jobs, name)
		if one == nil {
			return nil, 0
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(one.Dockerfile)))
		if err != nil {
			return one, 0
		}
		for _, in := range instructions(string(content)) {
			if words(in.word+" "+in.text) == words(m[3]) {
				return one, in.line
			}
		}
		return one, 0
	}
	return nil, 0
}

// words compares texts by what is not white space.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// unreachable reports whether a build failed for want of something outside: nobody knows whether the code is right.
func unreachable(text string) bool {
	for _, sign := range []string{
		"dns error", "error sending request", "Connection refused", "connection refused", "Failed to fetch", "failed to lookup address",
		"Temporary failure", "failed to resolve source metadata", "i/o timeout", "no space left on device", "certificate verify failed",
		"invalid peer certificate", "Max retries exceeded", "NewConnectionError", "failed to do request",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
