package markdown

import (
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/report"
)

// inline makes text that a tool wrote stand in a line as it is: no tag, link, image, emphasis, table border, mention
// or reference to an issue comes of it.
func inline(s string) string {
	s = report.Line(cut(s))
	var b strings.Builder
	for i, r := range s {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '@', '#': // an empty comment between sign and name keeps both from becoming a link
			b.WriteString(string(r) + "<!-- -->")
		case '\\', '`', '*', '_', '[', ']', '|', '~', '!', '$':
			b.WriteString(`\` + string(r))
		case ':':
			// Scheme and host are links without any sign; a break keeps an address readable but dead.
			if strings.HasPrefix(s[i:], "://") {
				b.WriteString("<!-- -->")
			}
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "www.", "www<!-- -->.")
}

// Inline makes text of foreign origin stand in a line of Markdown as it is.
func Inline(s string) string { return inline(s) }

// tag escapes text between tags of HTML, where Markdown has no meaning but a mention still has.
func tag(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@<!-- -->", "#", "#<!-- -->", "://", "<!-- -->://").Replace(report.Line(cut(s)))
}

// code makes a code span, in which nothing has a meaning but its end.
func code(s string) string {
	s = report.Line(cut(s))
	if strings.TrimSpace(s) == "" {
		return ""
	}
	ticks := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return ticks + s + ticks
}

// block makes a code block with a fence longer than any in it.
func block(s string) string {
	s = strings.TrimRight(report.Text(s), "\n")
	fence := strings.Repeat("`", max(3, longestRun(s)+1))
	return fence + "text\n" + s + "\n" + fence + "\n"
}

// longestRun is the length of the longest run of backquotes.
func longestRun(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
			continue
		}
		run = 0
	}
	return longest
}

// indent puts a block into an item of a list.
func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("  " + line)
	}
	return b.String()
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + " …"
}
