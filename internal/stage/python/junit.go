package python

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// An Outcome is what became of one test.
type Outcome int

// Outcomes of a test. Broken is an error outside of the test's own body: a fixture, or a file that can't be imported.
const (
	Passed Outcome = iota
	Failed
	Broken
	Skipped
)

// A Test is one test as pytest reports it.
type Test struct {
	ID      string // path::Class::name, as pytest takes it on the command line
	Path    string // slash-separated, relative to the root
	Line    int    // from 1, where the test begins; 0 if unknown
	Seconds float64
	Outcome Outcome
	Message string // one line: the assertion, or the reason of a skip
	Detail  string // the traceback
	// Properties are what it reported of itself (pytest's record_property), by name.
	Properties map[string][]string
	// Expected is for a test that failed as it is marked to (xfail): it ran, and so it passed.
	Expected bool
}

// junitSuites is the part of JUnit's XML that pytest writes with junit_family=xunit1, which keeps file and line.
type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suites  []struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Class   string       `xml:"classname,attr"`
			Name    string       `xml:"name,attr"`
			File    string       `xml:"file,attr"`
			Line    *int         `xml:"line,attr"`
			Seconds float64      `xml:"time,attr"`
			Failure *junitDetail `xml:"failure"`
			Error   *junitDetail `xml:"error"`
			Skipped *junitDetail `xml:"skipped"`
			// pytest writes them for the old family of reports, too.
			Properties []junitProperty `xml:"properties>property"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type junitDetail struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// properties are those of one test; nil if it reported none.
func properties(reported []junitProperty) map[string][]string {
	var all map[string][]string
	for _, property := range reported {
		if all == nil {
			all = map[string][]string{}
		}
		all[property.Name] = append(all[property.Name], plain.Text(property.Value))
	}
	return all
}

// expectedFailure is how pytest marks, among the skipped, what failed as it should.
const expectedFailure = "pytest.xfail"

// Tests reads the report that pytest writes with `-o junit_family=xunit1 --junit-xml=…`. A report whose counts are not
// those of its tests is refused.
func Tests(report []byte) ([]Test, error) {
	var doc junitSuites
	if err := xml.Unmarshal(report, &doc); err != nil {
		return nil, fmt.Errorf("read pytest's JUnit report: %w", err)
	}
	if len(doc.Suites) == 0 {
		return nil, errors.New("read pytest's JUnit report: it has no test suite")
	}
	var tests []Test
	for _, suite := range doc.Suites {
		counts, expected := map[Outcome]int{}, 0
		for _, c := range suite.Cases {
			t := Test{Path: strings.ReplaceAll(c.File, `\`, "/"), Seconds: c.Seconds, ID: plain.Line(testID(c.File, c.Class, c.Name))}
			if c.Line != nil {
				t.Line = *c.Line + 1 // pytest counts from 0
			}
			var detail *junitDetail
			switch {
			case c.Failure != nil:
				t.Outcome, detail = Failed, c.Failure
			case c.Error != nil:
				t.Outcome, detail = Broken, c.Error
			case c.Skipped != nil && c.Skipped.Type == expectedFailure:
				t.Expected, detail = true, c.Skipped
				expected++
			case c.Skipped != nil:
				t.Outcome, detail = Skipped, c.Skipped
			}
			if detail != nil {
				t.Message, t.Detail = plain.Line(detail.Message), plain.Text(detail.Text)
			}
			t.Properties = properties(c.Properties)
			counts[t.Outcome]++
			tests = append(tests, t)
		}
		// A test whose teardown breaks after its body failed stands twice, so there may be more cases than tests.
		if len(suite.Cases) < suite.Tests || counts[Failed] != suite.Failures || counts[Broken] != suite.Errors || counts[Skipped]+expected != suite.Skipped {
			return nil, fmt.Errorf("read pytest's JUnit report: %w", ErrDisagrees)
		}
	}
	return tests, nil
}

// testID puts pytest's name of a test together again: the class name holds the module's path with dots.
func testID(file, class, name string) string {
	module := strings.TrimSuffix(strings.NewReplacer("/", ".", `\`, ".").Replace(file), ".py")
	id := file
	if inner := strings.TrimPrefix(strings.TrimPrefix(class, module), "."); inner != "" && inner != class {
		id += "::" + strings.ReplaceAll(inner, ".", "::")
	}
	if id == "" {
		return name
	}
	return id + "::" + name
}

// place finds `tests/unit/test_x.py:12: AssertionError` in a traceback: the last one in the test's own file is where
// somebody wants to look first.
var place = regexp.MustCompile(`(?m)^([^\s:][^:\n]*\.py):(\d+): `)

// FailedAt is where the test failed, as far as its traceback tells, else where it begins.
func (t Test) FailedAt() (path string, line int) {
	path, line = t.Path, t.Line
	for _, match := range place.FindAllStringSubmatch(t.Detail, -1) {
		if found := strings.ReplaceAll(match[1], `\`, "/"); found == t.Path || t.Path == "" {
			path = found
			line, _ = strconv.Atoi(match[2]) // digits only, by the expression
		}
	}
	return path, line
}
