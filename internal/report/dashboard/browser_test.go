package dashboard

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/meter-ml/meter-pipeline/internal/history"
)

var keep = flag.String("keep", "", "directory in which pages and pictures stay, to be looked at")

// widths of a phone, a tablet and a laptop.
func widths() []int64 { return []int64{360, 768, 1280} }

// browser starts Chromium for the test. CI has one; on a laptop without it the test is skipped, and says so.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := installed()
	if program == "" && os.Getenv("CI") != "" && os.Geteuid() == 0 {
		for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", "chromium"}} {
			if out, err := exec.CommandContext(t.Context(), "apt-get", args...).CombinedOutput(); err != nil {
				t.Fatalf("install chromium: %v\n%s", err, out)
			}
		}
		program = installed()
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("find a browser: there is no chromium: install it (Debian: apt-get install chromium)")
		}
		t.Skip("there is no chromium on this machine to look at the page with")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-background-networking", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which Chromium refuses to have as root
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return ctx
}

func installed() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// seen is what the browser complains about or asks for.
type seen struct {
	mu       sync.Mutex
	problems []string
	loaded   []string
}

func (s *seen) listen(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		s.problems = append(s.problems, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		s.problems = append(s.problems, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		s.problems = append(s.problems, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		s.loaded = append(s.loaded, e.Request.URL)
	}
}

// value asks the page something.
func value[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func do(ctx context.Context, t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// audit is the part of accessibility checks that a page without a script can get wrong: names, order of headings, table
// heads, targets that can't be reached, text that is cut, and words on a ground that is too like them.
const audit = `(() => {
  const out = [];
  const all = (s) => Array.from(document.querySelectorAll(s));
  const name = (e) => (e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") || "").split(" ").map((i) => i && document.getElementById(i)?.textContent).join(" ") || e.textContent || "").trim();
  for (const e of all("a, summary, [role=img], [role=region], section, figure")) if (!name(e)) out.push("no name: " + e.outerHTML.slice(0, 80));
  for (const e of all("svg:not([role=img])")) if (e.getAttribute("aria-hidden") !== "true") out.push("picture without words: " + e.outerHTML.slice(0, 80));
  let level = 0;
  for (const h of all("h1, h2, h3, h4")) { const l = +h.tagName[1]; if (l > level + 1) out.push("heading skips a level: " + h.textContent); level = l; }
  if (all("h1").length !== 1 || all("main").length !== 1) out.push("not one h1 and one main");
  for (const t of all("table")) if (!t.querySelector("th[scope=col]") || !t.querySelector("th[scope=row]")) out.push("table without heads: " + t.textContent.slice(0, 40));
  if (!document.documentElement.lang || !document.title) out.push("no language or title");
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) out.push("the page scrolls sideways: " + all("body *").filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth && !e.closest(".table")).map((e) => e.outerHTML.slice(0, 60)).slice(0, 3).join(" | "));
  for (const c of all(".card b, figcaption b")) if (c.getBoundingClientRect().right > c.closest(".card, figure").getBoundingClientRect().right) out.push("figure is cut: " + c.textContent);
  for (const c of all("td, th")) { const line = parseFloat(getComputedStyle(c).lineHeight); if (c.checkVisibility() && c.clientHeight > 5 * line && c.textContent.trim().length < 60) out.push("cell is a column of letters: " + c.textContent.trim()); }
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const lum = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  let words = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.checkVisibility()) continue;
    words++;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))];
    const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (c < 4.5) out.push("contrast " + c.toFixed(2) + ": " + n.textContent.trim().slice(0, 40));
  }
  if (words < 20) out.push("only " + words + " texts were looked at");
  return out;
})()`

func TestInTheBrowser(t *testing.T) {
	ctx := browser(t)
	pages := map[string]string{"full.html": full(t, 500), "empty.html": page(t, history.Records{})}
	for name, content := range pages {
		path := write(t, name, content)
		var s seen
		tab, stop := chromedp.NewContext(ctx, chromedp.WithListener(s.listen))
		do(tab, t)
		if _, err := chromedp.Call(tab, network.Enable, network.EnableParams{}); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Call(tab, log.Enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range widths() {
				t.Run(fmt.Sprintf("%s/%s/%d", name, scheme, width), func(t *testing.T) { look(tab, t, path, scheme, width) })
			}
		}
		s.mu.Lock()
		for _, problem := range s.problems {
			t.Errorf("%s: the browser says %s", name, problem)
		}
		if len(s.loaded) == 0 {
			t.Errorf("%s: nobody watched what is loaded", name)
		}
		for _, url := range s.loaded {
			if url != "file://"+path && !strings.HasPrefix(url, "data:image/svg+xml,") {
				t.Errorf("%s: it loads %s", name, url)
			}
		}
		s.mu.Unlock()
		stop()
	}
}

func look(tab context.Context, t *testing.T, path, scheme string, width int64) {
	t.Helper()
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		t.Fatal(err)
	}
	do(tab, t, chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+path))
	if dark := value[bool](tab, t, `matchMedia("(prefers-color-scheme: dark)").matches`); dark != (scheme == "dark") {
		t.Errorf("the scheme is not %s", scheme)
	}
	for _, problem := range value[[]string](tab, t, audit) {
		t.Error(problem)
	}
	if *keep == "" {
		return
	}
	picture, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(*keep, fmt.Sprintf("%s-%s-%d.png", strings.TrimSuffix(filepath.Base(path), ".html"), scheme, width))
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What the audit can't see it can't hold against the page: each of its complaints is provoked once.
func TestAuditNotices(t *testing.T) {
	ctx := browser(t)
	path := write(t, "bad.html", `<!doctype html><title>x</title><h1>a</h1><h3>b</h3><a href="#"></a><svg></svg>
<table><tr><td>1</td></tr></table><p style="color:#999;background:#fff">pale</p><p style="width:3000px">wide</p>`)
	do(ctx, t, chromedp.EmulateViewport(800, 600), chromedp.Navigate("file://"+path))
	found := strings.Join(value[[]string](ctx, t, audit), "\n")
	for _, want := range []string{"no name", "picture without words", "skips a level", "not one h1", "table without heads", "no language", "sideways", "contrast 2.85: pale", "only "} {
		if !strings.Contains(found, want) {
			t.Errorf("nothing is said of %q:\n%s", want, found)
		}
	}
}

// TestKeyboard: the first key leads to what needs attention, all that can be used is reached and seen to be, and the
// numbers behind a picture open by a key.
func TestKeyboard(t *testing.T) {
	ctx := browser(t)
	path := write(t, "keys.html", full(t, 60))
	const active = `(() => { const e = document.activeElement; return e.tagName + " " + (e.getAttribute("href") || e.textContent.trim().slice(0, 30)); })()`
	do(ctx, t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate("file://"+path), chromedp.KeyEvent(kb.Tab))
	if first := value[string](ctx, t, active); first != "A #main" {
		t.Errorf("the first key leads to %q", first)
	}
	do(ctx, t, chromedp.KeyEvent(kb.Enter))
	if at := value[string](ctx, t, `document.activeElement.id + location.hash`); !strings.Contains(at, "#main") {
		t.Errorf("the skip link leads to %q", at)
	}
	stops := value[int](ctx, t, `Array.from(document.querySelectorAll("main a[href], main summary, main [tabindex='0']")).filter((e) => e.checkVisibility()).length`)
	opened := false
	for i := range stops {
		do(ctx, t, chromedp.KeyEvent(kb.Tab))
		at := value[string](ctx, t, active)
		if outline := value[string](ctx, t, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" || strings.HasPrefix(at, "BODY") {
			t.Fatalf("after %d of %d keys: %q is active, with outline %s", i+1, stops, at, outline)
		}
		if !opened && strings.HasPrefix(at, "SUMMARY ") {
			do(ctx, t, chromedp.KeyEvent(kb.Enter))
			opened = value[bool](ctx, t, `document.activeElement.parentElement.open && document.activeElement.parentElement.querySelector("tbody tr").checkVisibility()`)
			do(ctx, t, chromedp.KeyEvent(kb.Enter)) // closed, so that the number of stops stays what it was
		}
	}
	if !opened {
		t.Error("no key opened the numbers behind a picture")
	}
	if stops < 20 {
		t.Errorf("only %d stops were tried", stops)
	}
}
