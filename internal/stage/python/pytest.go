package python

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Exit codes of pytest (https://docs.pytest.org/en/stable/reference/exit-codes.html).
const (
	PytestPassed  = 0 // every test passed
	PytestFailed  = 1 // some did not
	exitInterrupt = 2 // also: a test file could not be imported
	exitInternal  = 3
	exitUsage     = 4
	exitNoTests   = 5
)

// ended is what pytest says if a test or a plug-in ends it; the exit code is then what they choose.
var ended = regexp.MustCompile(`(?m)^!+ _pytest\.outcomes\.Exit: (.*?) !+$`)

// Ran returns the tests of a pytest that came to its end, from the report of that name (see Tests); what kept it from that
// is the error.
func Ran(out engine.Output, name string) ([]Test, error) {
	report, reportErr := out.Report(name)
	tests, readErr := Tests(report)
	if m := ended.FindSubmatch(out.Stdout); m != nil {
		return nil, fmt.Errorf("pytest was ended before all tests had run: %s", Shorten(string(m[1]), 200))
	}
	switch out.ExitCode {
	case PytestPassed, PytestFailed:
		if reportErr != nil {
			return nil, Failure("pytest", out)
		}
		return tests, cmp.Or(readErr, uncollected(tests, out.Root))
	case exitNoTests:
		text := "no test was run"
		if n := Deselected(out.Stdout); n > 0 {
			text += fmt.Sprintf(", the project's own settings of pytest left out all %d", n)
		}
		return nil, errors.New(text + ": pytest takes test_* in files test_*.py for tests, where its settings name no others")
	case exitInterrupt:
		return nil, cmp.Or(uncollected(tests, out.Root), fmt.Errorf("pytest was interrupted: %s", lastSaid(out, "!!!")))
	case exitInternal:
		return nil, fmt.Errorf("pytest itself failed: %s", lastSaid(out, "INTERNALERROR>"))
	case exitUsage:
		return nil, fmt.Errorf("pytest can't run as it is asked to, or lacks a plug-in (pytest-cov, pytest-xdist, pytest-timeout): %s",
			lastSaid(out, "ERROR:", "error:", "E  "))
	default:
		return nil, Failure("pytest", out)
	}
}

// uncollected is the error for test files that could not be imported: their tests did not run.
func uncollected(tests []Test, root string) error {
	var all []string
	for _, t := range tests {
		if t.Outcome != Broken || t.Message != "collection failure" {
			continue
		}
		lines := strings.Split(strings.TrimSpace(t.Detail), "\n")
		last := lines[len(lines)-1]
		for _, line := range slices.Backward(lines) {
			if said, ok := strings.CutPrefix(line, "E "); ok {
				last = said
				break
			}
		}
		all = append(all, fmt.Sprintf("%s (%s)", cmp.Or(t.Path, t.ID), Shorten(strings.ReplaceAll(last, root+"/", ""), 200)))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("pytest could not collect every test: %s: correct this first, since what is in there did not run", List(all, 3))
}

// WhyNone says why nothing ran although pytest ended well.
func WhyNone(tests []Test) error {
	if len(tests) == 0 {
		return errors.New("no test was run: pytest ended well, but its report has no test in it")
	}
	return fmt.Errorf("no test was run: all %d were skipped, the first because: %s", len(tests), Shorten(tests[0].Message, 200))
}

var deselections = regexp.MustCompile(`(?m)^(?:=.*\b)?(?:\d+ [a-z]+, )*(\d+) deselected\b`)

// Deselected is how many tests pytest's last line says that it left out.
func Deselected(stdout []byte) int {
	m := deselections.FindSubmatch(stdout)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0
	}
	return n
}

// lastSaid returns the last line that has one of the marks, without it, or else the last line of all.
func lastSaid(out engine.Output, marks ...string) string {
	for _, text := range [][]byte{out.Stderr, out.Stdout} {
		lines := strings.Split(plain.Text(string(text)), "\n")
		for _, line := range slices.Backward(lines) {
			for _, mark := range marks {
				if _, rest, ok := strings.Cut(line, mark); ok {
					if rest = strings.Trim(rest, "! "); rest != "" {
						return Shorten(strings.ReplaceAll(rest, out.Root+"/", ""), 300)
					}
				}
			}
		}
	}
	return LastLine(out.Stderr, out.Stdout)
}
