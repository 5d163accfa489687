package security

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequirements(t *testing.T) {
	content := strings.Join([]string{
		"\ufeff# made by a tool",
		"numpy==1.21.0 \\",
		"    --hash=sha256:aaaa \\",
		"    --hash=sha256:bbbb",
		"    # via pandas",
		"Flask_Login == 0.4.0 ; python_version < \"3\"\r",
		"psycopg[binary,pool]===3.1.0 # why",
		"torch==2.0+cpu",
		"epoch==1!2.0",
		"aiohttp>=3.0",
		"django",
		"jinja2==2.*",
		"pyyaml==5.1,!=5.2",
		"pkg @ https://example.invalid/pkg-1.0.tar.gz",
		"-e git+https://example.invalid/x.git#egg=x",
		"./local/dir",
		"--index-url https://example.invalid/simple",
		"--no-binary :all:",
		"-c constraints.txt",
		"-r more.txt",
		"--requirement=other/more.txt",
		"last==1 \\",
	}, "\n")
	pins, loose, includes := parseRequirements("requirements/x.txt", content)
	var got []string
	for _, p := range pins {
		got = append(got, p.String())
	}
	want := []string{"numpy 1.21.0", "flask-login 0.4.0", "psycopg 3.1.0", "torch 2.0+cpu", "epoch 1!2.0", "last 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	var lines []int
	for _, f := range loose {
		lines = append(lines, f.Line)
	}
	if diff := cmp.Diff([]int{10, 11, 12, 13, 14, 15, 16}, lines); diff != "" {
		t.Errorf("lines that pin nothing (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"more.txt", "other/more.txt"}, includes); diff != "" {
		t.Errorf("includes (-want +got):\n%s", diff)
	}
	if pins[0].line != 2 || pins[1].line != 6 {
		t.Errorf("pins are on lines %d and %d, want 2 and 6", pins[0].line, pins[1].line)
	}
}
