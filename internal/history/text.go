package history

import (
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// passedOnly stands in the message of a flaky test behind its name.
const passedOnly = " passed only when it was run again"

// FlakyMessage is the message of a finding about a flaky test.
func FlakyMessage(test string) string { return test + passedOnly }

// FlakyTest is the test that such a message is about.
func FlakyTest(message string) string {
	name, _, _ := strings.Cut(message, passedOnly)
	return text(name)
}

// text makes foreign text harmless and short.
func text(s string) string {
	s = plain.Line(s)
	if len(s) <= longestText {
		return s
	}
	return strings.ToValidUTF8(s[:longestText], "") + "…"
}

func texts(all []string) []string {
	var out []string
	for _, s := range all[:min(len(all), mostWarnings)] {
		out = append(out, text(s))
	}
	return out
}
