package selftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func vetStep() engine.Step {
	return engine.Step{
		Name: "vet", Judges: "suspicious Go", Timeout: timeout, Rerun: "go vet -tags mage ./...",
		Inputs:  []string{"go.mod", "go.sum", "internal", "magefiles"},
		Command: &engine.Command{Program: "go", Args: []string{"vet", "-json", "-tags", "mage", "./..."}, Parse: parseVet},
	}
}

// parseVet reads the JSON objects that go vet writes, one a package, empty for one without diagnostics.
func parseVet(out engine.Output) (engine.Judgement, error) {
	if out.ExitCode != 0 {
		return engine.Judgement{}, fmt.Errorf("go vet could not judge (exit code %d): %s", out.ExitCode, lastLine(out.Stderr))
	}
	j := engine.Judgement{Unit: "packages"}
	dec := json.NewDecoder(bytes.NewReader(withoutComments(out.Stdout)))
	for {
		var packages map[string]map[string]json.RawMessage
		err := dec.Decode(&packages)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return engine.Judgement{}, fmt.Errorf("read go vet's output: %w", err)
		}
		j.Judged++
		for _, name := range slices.Sorted(maps.Keys(packages)) {
			findings, err := vetFindings(packages[name], out.Root)
			if err != nil {
				return engine.Judgement{}, fmt.Errorf("read go vet's output for %s: %w", name, err)
			}
			j.Findings = append(j.Findings, findings...)
		}
	}
	return j, nil
}

func vetFindings(analyzers map[string]json.RawMessage, root string) ([]engine.Finding, error) {
	var findings []engine.Finding
	for _, analyzer := range slices.Sorted(maps.Keys(analyzers)) {
		var diagnostics []struct{ Posn, Message string }
		if err := json.Unmarshal(analyzers[analyzer], &diagnostics); err != nil {
			return nil, fmt.Errorf("%s did not judge: %s", analyzer, analyzers[analyzer])
		}
		for _, d := range diagnostics {
			path, line, column := splitPosition(d.Posn)
			findings = append(findings, engine.Finding{
				Rule: analyzer, Path: relative(root, path), Line: line, Column: column, Message: d.Message,
				Help: "see `go doc cmd/vet` and `go tool vet help " + analyzer + "`",
			})
		}
	}
	return findings, nil
}

// withoutComments drops the `# package` lines between the objects.
func withoutComments(text []byte) []byte {
	var kept [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}

// splitPosition takes path:line:column apart; the path itself may hold colons.
func splitPosition(position string) (path string, line, column int) {
	parts := strings.Split(position, ":")
	if len(parts) < 3 {
		return position, 0, 0
	}
	line, lineErr := strconv.Atoi(parts[len(parts)-2])
	column, columnErr := strconv.Atoi(parts[len(parts)-1])
	if lineErr != nil || columnErr != nil {
		return position, 0, 0
	}
	return strings.Join(parts[:len(parts)-2], ":"), line, column
}

// relative names a path from the root, with slashes.
func relative(root, path string) string {
	if rel, err := filepath.Rel(root, path); filepath.IsAbs(path) && err == nil {
		path = rel
	}
	return filepath.ToSlash(path)
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
