package quality

import (
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// diff is what a formatter would change in one file.
type diff struct {
	first  int // line in the file as it is; 0 if unknown
	places int
}

var (
	// diffHeader begins a file; its name ends at the time, and may hold a line end.
	diffHeader = regexp.MustCompile(`(?sm)^--- (.+?)(?::before)?\t\d{4}-\d\d-\d\d [^\n]*\n\+\+\+ `)
	// hunk begins a place, and says where it is in the file as it is.
	hunk  = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@`)
	color = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// readDiffs reads the unified diffs that black and isort print, by file. It is for the lines only: what fails is
// decided without it. A file with a byte-order mark has one before its diff, too, and a project may ask for colours.
func readDiffs(text, root string) map[string]diff {
	text = strings.ReplaceAll(text, "\ufeff", "")
	headers := diffHeader.FindAllStringSubmatchIndex(text, -1)
	if len(headers) == 0 {
		text = color.ReplaceAllString(text, "")
		headers = diffHeader.FindAllStringSubmatchIndex(text, -1)
	}
	diffs := map[string]diff{}
	for i, at := range headers {
		end := len(text)
		if i+1 < len(headers) {
			end = headers[i+1][0]
		}
		diffs[python.Relative(root, text[at[2]:at[3]])] = readDiff(text[at[1]:end])
	}
	return diffs
}

func readDiff(body string) diff {
	var d diff
	line := 0
	for text := range strings.SplitSeq(body, "\n") {
		switch m := hunk.FindStringSubmatch(text); {
		case m != nil:
			d.places++
			line = number(m[1])
		case d.places == 0 || d.first > 0:
		case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "+"):
			d.first = max(line, 1)
		default:
			line++
		}
	}
	return d
}
