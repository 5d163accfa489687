package history

import (
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

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
