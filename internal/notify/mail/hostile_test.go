package mail

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/meter-ml/meter-pipeline/internal/notify/mail/mailtest"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
)

func TestHostileTextIsHarmless(t *testing.T) {
	p := open(t, mailtest.Options{})
	c := p.channel("ada@example.org")
	for _, attack := range notifytest.Attacks() {
		t.Run(attack.Name, func(t *testing.T) {
			for _, m := range notifytest.Attacked(attack.Text) {
				p.Clear()
				if _, err := c.Send(t.Context(), m, t.Logf); err != nil || len(p.Letters()) != 1 {
					t.Fatal(err, len(p.Letters()))
				}
				harmless(t, p.Letters()[0].Body)
			}
		})
	}
}

func harmless(t *testing.T, raw string) {
	t.Helper()
	letter := parse(t, raw)
	for name, values := range letter.header {
		switch name {
		case "Subject", "From", "To", "Date", "Message-Id", "Mime-Version", "Content-Type", "Precedence", "X-Auto-Response-Suppress",
			"Importance", "Priority", "X-Priority", "X-Msmail-Priority", "Auto-Submitted", "User-Agent":
		default:
			t.Errorf("a header %s: %v", name, values)
		}
		if len(values) != 1 {
			t.Errorf("the header %s is there %d times", name, len(values))
		}
	}
	if to := letter.header.Get("To"); to != "<ada@example.org>" {
		t.Errorf("to %s", to)
	}
	if strings.ContainsFunc(letter.subject, unicode.IsControl) || len([]rune(letter.subject)) > longestSubject {
		t.Errorf("subject %q", letter.subject)
	}
	// No tag and no attribute but those of the page.
	for _, tag := range regexp.MustCompile(`<([a-z0-9]+)`).FindAllStringSubmatch(letter.html, -1) {
		if !slices.Contains(strings.Fields("html head meta title body h1 h2 ul li b a pre p code hr table tr th td"), tag[1]) {
			t.Errorf("a tag <%s>", tag[1])
		}
	}
	for _, attribute := range regexp.MustCompile(`<[^>]*?\s(on[a-z]+|src)=`).FindAllString(letter.html, -1) {
		t.Errorf("an attribute in %s", attribute)
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(letter.html, -1) {
		if !strings.HasPrefix(link[1], "https://github.com/meter-ml/") {
			t.Errorf("a link to %s", link[1])
		}
	}
	for _, text := range []string{letter.text, letter.html} {
		if strings.ContainsFunc(text, func(r rune) bool {
			return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
		}) {
			t.Errorf("%q steers who reads it", text)
		}
	}
}
