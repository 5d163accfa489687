package github

import (
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/report"
)

// Harmless is text in which the runner sees no command, for what is printed while commands are on: the last word of a
// session, a difference of files. A command begins a line with two colons, after any space, or stands anywhere as ##[…].
func Harmless(s string) string {
	if !strings.Contains(s, "::") && !strings.Contains(s, "##[") {
		return s // nearly always: and what is data stays what it is
	}
	var b strings.Builder
	for line := range strings.Lines(report.Text(s)) {
		text := strings.TrimLeft(line, " \t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u1680")
		if strings.HasPrefix(text, "::") {
			line = strings.TrimSuffix(line, text) + ":\u200c:" + text[len("::"):] // a mark that is not seen, between them
		}
		b.WriteString(strings.ReplaceAll(line, "##[", "#\u200c#["))
	}
	return b.String()
}
