package dashboard

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

// paper is the width of A4 between Chromium's margins, in pixels.
const paper = 717

// onPaper looks for what paper can't show: what is wider than it, what could be scrolled to or opened, and a dark page.
const onPaper = `(() => {
  const out = [], looked = document.querySelectorAll("table, pre, figure, dl, .command, .rows");
  const name = (e) => e.tagName + " " + (e.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
  for (const e of looked) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1) out.push("beyond the edge: " + name(e));
  }
  for (const e of document.querySelectorAll("body *")) {
    const style = getComputedStyle(e), scrolls = [style.overflowX, style.overflowY].some((o) => o !== "visible" && o !== "clip");
    if (e.checkVisibility() && scrolls && e.tagName !== "svg" && !e.matches(".hidden-label") && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1))
      out.push("cut: " + name(e));
  }
  for (const e of document.querySelectorAll("details > :not(summary)"))
    if (!e.closest(".chart") && !e.checkVisibility()) out.push("closed: " + name(e));
  for (const e of document.querySelectorAll("td, th"))
    if (e.checkVisibility() && e.textContent.trim().length > 8 && e.getBoundingClientRect().width < 16) out.push("squeezed: " + name(e));
  if (getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)") out.push("dark");
  if (looked.length < 5) out.push("only " + looked.length + " things were looked at");
  return out;
})()`

// The run's report is looked at here, too: its style is the dashboard's.
func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := html.Render(&b, report.New(reporttest.Run(""), reporttest.Plan()), html.Options{Host: "ada-laptop"}); err != nil {
		t.Fatal(err)
	}
	ctx := browser(t)
	policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
	for name, content := range map[string]string{"full-print.html": full(t, 60), "run-print.html": b.String()} {
		for _, scheme := range []string{"light", "dark"} {
			if problems := printed(ctx, t, name, content, scheme); len(problems) > 0 {
				t.Errorf("%s, %s:\n%s", name, scheme, strings.Join(problems, "\n"))
			}
		}
		// Without its rules for paper each page shows that something looks.
		bare := policy.ReplaceAllString(strings.ReplaceAll(content, "@media print", "@media speech"), "")
		if problems := printed(ctx, t, "bare-"+name, bare, "dark"); len(problems) == 0 {
			t.Errorf("%s: nothing is said of a page that is made for the screen alone", name)
		}
	}
}

func printed(ctx context.Context, t *testing.T, name, content, scheme string) []string {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		t.Fatal(err)
	}
	do(ctx, t, chromedp.EmulateViewport(paper, 1000), chromedp.Navigate("file://"+write(t, name, content)))
	return value[[]string](ctx, t, onPaper)
}
