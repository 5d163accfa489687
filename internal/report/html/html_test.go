package html

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

func render(t *testing.T, run *engine.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, report.New(run, reporttest.Plan()), Options{Host: "ada-laptop"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func withFiles(t *testing.T, run func(string) *engine.Run) *engine.Run {
	t.Helper()
	r := run(t.TempDir())
	if err := reporttest.WriteLogs(r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "report.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRuns(t *testing.T) {
	broken := reporttest.Passed("")
	broken.Status, broken.Problems = engine.StatusError, []string{"write junit.xml: no space left on device"}
	tests := []struct {
		name string
		run  *engine.Run
	}{
		{"run", withFiles(t, reporttest.Run)},
		{"passed", withFiles(t, reporttest.Passed)},
		{"interrupted", reporttest.Interrupted("")},
		{"broken", broken},
		{"empty", &engine.Run{Status: engine.StatusError}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := render(t, test.run)
			check(t, got)
			// The style and the script are files of their own; the golden file holds the rest.
			got = block("style").ReplaceAllString(got, "<style></style>")
			got = block("script").ReplaceAllString(got, "<script></script>")
			got = regexp.MustCompile(`sha256-[^=]+=`).ReplaceAllString(got, "sha256-")
			reporttest.Golden(t, *update, test.name+".golden.html", got)
		})
	}
}

func block(tag string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`)
}

// check holds what a browser would: the policy lets the two blocks of the page run, and there is nothing else.
func check(t *testing.T, page string) {
	t.Helper()
	policy := html.UnescapeString(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1])
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is lax: %s", policy)
	}
	for _, tag := range []string{"style", "script"} {
		blocks := block(tag).FindAllStringSubmatch(page, -1)
		if len(blocks) != 1 || strings.Count(page, "<"+tag) != 1 {
			t.Fatalf("%d %s blocks, %d tags; want one", len(blocks), tag, strings.Count(page, "<"+tag))
		}
		sum := sha256.Sum256([]byte(blocks[0][1]))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy refuses the page's own %s: it has no %s", tag, want)
		}
		page = strings.Replace(page, blocks[0][0], "", 1)
	}
	ids := map[string]bool{}
	for _, tag := range regexp.MustCompile(`<[a-zA-Z][^>]*>`).FindAllString(page, -1) {
		if regexp.MustCompile(`(?i)\s(style|on[a-z]+)\s*=`).MatchString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(tag, `""`)) {
			t.Errorf("the policy refuses a part of %s", tag)
		}
		if regexp.MustCompile(`\s(src|srcset|data|action)="`).MatchString(tag) {
			t.Errorf("%s loads something", tag)
		}
		if id := regexp.MustCompile(`\sid="([^"]*)"`).FindStringSubmatch(tag); id != nil {
			if ids[id[1]] {
				t.Errorf("id %s is there twice", id[1])
			}
			ids[id[1]] = true
		}
	}
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		target := html.UnescapeString(href[1])
		switch {
		case strings.HasPrefix(target, "#"):
			if !ids[target[1:]] {
				t.Errorf("link to %s leads nowhere", target)
			}
		case strings.HasPrefix(target, "https://"), strings.HasPrefix(target, "data:image/svg+xml,"):
		case strings.HasPrefix(target, "/") || strings.Contains(target, ":"):
			t.Errorf("link to %s works on one machine only, or runs something", target)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template refused a value")
	}
}

func TestFailuresComeFirst(t *testing.T) {
	page := render(t, reporttest.Run(""))
	order := []string{`id="step-quality-black"`, `id="step-security-safety"`, `id="timeline"`, `id="step-quality-isort"`}
	last := -1
	for _, id := range order {
		at := strings.Index(page, id)
		if at < last {
			t.Errorf("%s comes too early", id)
		}
		last = at
	}
}

func TestManyFindingsAreCut(t *testing.T) {
	run := reporttest.Many("")
	j := &run.Stages[0].Steps[2].Judgement
	for len(j.Findings) < maxFindings+9 {
		j.Findings = append(j.Findings, j.Findings[0])
	}
	if page := render(t, run); !strings.Contains(page, "…and 9 more: see report.json") {
		t.Error("the page does not say how many findings it leaves out")
	}
}

func TestParts(t *testing.T) {
	tests := []struct {
		name string
		f    engine.Finding
		want [3]string
	}{
		{"no column", engine.Finding{Frame: "  x = 1"}, [3]string{"", "", "x = 1"}},
		{"column", engine.Finding{Line: 1, Column: 7, Frame: "  x = 1"}, [3]string{"x = ", "1", ""}},
		{"span", engine.Finding{Line: 1, Column: 3, EndLine: 1, EndCol: 4, Frame: "  x = 1"}, [3]string{"", "x", " = 1"}},
		{"over lines", engine.Finding{Line: 1, Column: 7, EndLine: 2, EndCol: 1, Frame: "  x = ("}, [3]string{"x = ", "(", ""}},
		{"first column only", engine.Finding{Line: 1, Column: 1, Frame: "def f():"}, [3]string{"", "", "def f():"}},
		{"after the end", engine.Finding{Line: 1, Column: 90, EndCol: 99, Frame: "x"}, [3]string{"x", "", ""}},
		{"wide letters", engine.Finding{Line: 1, Column: 2, EndCol: 3, Frame: "電力量"}, [3]string{"電", "力", "量"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got [3]string
			got[0], got[1], got[2] = parts(test.f)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Text on each ground has the contrast of WCAG's level AA, in both schemes and on paper.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("page/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	if len(schemes) != 3 {
		t.Fatalf("%d colour schemes, want 3", len(schemes))
	}
	colours := map[string]string{}
	for i, scheme := range schemes {
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]+);`).FindAllStringSubmatch(scheme[1], -1) {
			colours[m[1]] = m[2]
		}
		for _, ground := range []string{"paper", "card", "sunk", "mark"} {
			inks := []string{"ink"}
			if ground != "mark" {
				inks = []string{"ink", "muted", "link", "passed", "failed", "error", "skipped", "warning"}
			}
			for _, ink := range inks {
				if c := contrast(t, colours[ink], colours[ground]); c < 4.5 {
					t.Errorf("scheme %d: --%s on --%s has a contrast of %.2f, want 4.5", i, ink, ground, c)
				}
			}
		}
		for _, fill := range []string{"passed-fill", "failed-fill", "error-fill"} { // bars are no text
			if c := contrast(t, colours[fill], colours["paper"]); c < 3 {
				t.Errorf("scheme %d: --%s has a contrast of %.2f", i, fill, c)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (math.Max(la, lb) + 0.05) / (math.Min(la, lb) + 0.05)
}

// luminance follows the definition of WCAG 2.2, relative luminance.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = fmt.Sprintf("%c%c%c%c%c%c", hex[0], hex[0], hex[1], hex[1], hex[2], hex[2])
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("colour %q", hex)
	}
	linear := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}
