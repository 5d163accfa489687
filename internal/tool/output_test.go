package tool

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

func TestHugeOutput(t *testing.T) {
	s := newStage(t)
	lines := 0
	i := s.sh(`yes "a line of output" | head -c 20000000; head -c 10000000 /dev/zero | tr '\0' x; echo; echo end`)
	longest, last := 0, ""
	i.Line = func(line string) { lines++; longest = max(longest, len(line)); last = line }
	out, err := s.runner().Run(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(out.Stdout); n != 30000005 {
		t.Errorf("the parser gets %d bytes", n)
	}
	if longest > longestLine+200 || last != "end" || lines < 1000000 {
		t.Errorf("%d lines, the longest of %d bytes, the last %q", lines, longest, last)
	}
}

func TestTooMuchOutputIsAnError(t *testing.T) {
	s := newStage(t)
	r := s.runner(func(o *Options) { o.MaxOutput = 1 << 20 })
	out, err := r.Run(t.Context(), s.sh("echo first; yes"))
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
	if len(out.Stdout) > 1<<20 {
		t.Errorf("%d bytes are kept", len(out.Stdout))
	}
}

func TestOutputIsBlocking(t *testing.T) {
	// A program whose output may not block would lose some of it when nobody reads for a moment.
	s := newStage(t)
	i := s.sh("grep flags: /proc/self/fdinfo/1")
	out, err := s.runner().Run(t.Context(), i)
	if err != nil || out.ExitCode != 0 {
		if !exists("/proc/self/fdinfo") {
			return
		}
		t.Fatal(err, out.ExitCode)
	}
	var flags int
	if _, err := fmt.Sscanf(string(out.Stdout), "flags: %o", &flags); err != nil || flags&0o4000 != 0 {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

func TestSplitter(t *testing.T) {
	mask := plain.NewMask("hunter2hunter2")
	long := strings.Repeat("x", longestLine)
	tests := []struct {
		name   string
		writes []string
		want   []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"no line end", []string{"a\nb"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\na"}, []string{"", "", "a"}},
		{"nothing", []string{""}, nil},
		{"CRLF", []string{"a\r\nb\r", "\nc\r\r\n"}, []string{"a", "b", "c"}},
		{"progress bar", []string{"10%\r", "50%\r1", "00%\ndone\n"}, []string{"100%", "done"}},
		{"progress bar at the end", []string{"10%\r50%\r"}, []string{"50%"}},
		{"cleared progress bar", []string{"50%\r\x1b[K\r\n"}, []string{""}},
		{"colour", []string{"\x1b[1;31mred\x1b[0m\n"}, []string{"red"}},
		{"title and link", []string{"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\n"}, []string{"ab"}},
		{"C1", []string{"a\u009b31mb\x9b0mc\u0085\n"}, []string{"abc"}},
		{"no UTF-8", []string{"a\xff\xfeb\xc3\n"}, []string{"a\ufffd\ufffdb\ufffd"}},
		{"character over two writes", []string{"\xc3", "\xbc\n"}, []string{"ü"}},
		{"secret", []string{"pw hunter2hunter2!\n"}, []string{"pw ***!"}},
		{"secret over two writes", []string{"pw hunter2h", "unter2!\n"}, []string{"pw ***!"}},
		{"secret with colour in it", []string{"hunter2\x1b[0mhunter2\n"}, []string{"***"}},
		{"long line", []string{long + "yz\n"}, []string{strings.Repeat("x", longestLine+2-mask.Longest()) + " … [a line of 65538 bytes: the rest is not shown]"}},
		{"long line in pieces", []string{long, long, long, "\nb\n"}, []string{long + " … [a line of 196608 bytes: the rest is not shown]", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			s := splitter{mask: mask, emit: func(line string) { got = append(got, line) }}
			for _, w := range tt.writes {
				s.write([]byte(w))
			}
			s.flush()
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestSecretAtTheCut moves a secret over the place where a long line is cut: never may a part of it be seen.
func TestSecretAtTheCut(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	mask := plain.NewMask(secret)
	for at := longestLine - mask.Longest() - 40; at < longestLine+mask.Longest()+40; at++ {
		var got string
		s := splitter{mask: mask, emit: func(line string) { got = line }}
		s.write([]byte(strings.Repeat("x", at) + secret + strings.Repeat("y", 300) + "\n"))
		if strings.Contains(got, secret[:2]) {
			t.Fatalf("at %d: …%q", at, got[len(got)-120:])
		}
		// With secrets before it that are shorter once they are hidden, more of the line's end is shown.
		s.write([]byte(strings.Repeat(secret, 100) + strings.Repeat("x", at-100*len(secret)) + secret + "\n"))
		if strings.Contains(got, secret[:2]) {
			t.Fatalf("at %d, behind others: …%q", at, got[len(got)-120:])
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	const secret, other = `p@ss/w+rd "1"`, "given-with-the-call"
	spellings := []string{
		secret, other, url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte("user:" + secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
	}
	s := newStage(t)
	var lines []string
	i := s.sh(`printf '%s\n' "$@"; printf '%s\n' "$@" >&2; printf 'given-wi'; sleep 0.05; echo 'th-the-call'`)
	i.Args = append(append(i.Args, "sh"), spellings...)
	i.Secrets = []string{other}
	i.Line = func(line string) { lines = append(lines, line) }
	out, err := s.runner(func(o *Options) { o.Secrets = []string{secret + "\n"} }).Run(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	all := string(out.Stdout) + string(out.Stderr) + strings.Join(lines, "\n")
	for _, spelling := range spellings {
		if strings.Contains(all, spelling) || strings.Contains(all, spelling[4:10]) {
			t.Errorf("%q is shown in %q", spelling, all)
		}
	}
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\x1b[31m\xff\n"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		split := func(size int) (lines []string) {
			s := splitter{mask: plain.NewMask("secret-value"), emit: func(l string) { lines = append(lines, l) }}
			for piece := range slices.Chunk(b, size) {
				s.write(piece)
			}
			s.flush()
			return lines
		}
		whole, pieces := split(len(b)+1), split(int(size)+1)
		if !slices.Equal(whole, pieces) {
			t.Errorf("in pieces %q, at once %q", pieces, whole)
		}
		for _, line := range whole {
			if strings.ContainsAny(line, "\x1b\r\n\x00") || strings.Contains(line, "secret-value") {
				t.Errorf("unsafe: %q", line)
			}
		}
	})
}

func BenchmarkRunTrue(b *testing.B) {
	r := NewRunner(Options{State: b.TempDir(), Run: "benchmark"})
	defer func() { _ = r.Close() }()
	for b.Loop() {
		if _, err := r.Run(b.Context(), engine.Invocation{Program: "/bin/true", Env: os.Environ()}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitter(b *testing.B) {
	input := bytes.Repeat([]byte("src/models/train.py:12:1: E501 line too long (130 > 120 characters)\n"), 1000)
	b.SetBytes(int64(len(input)))
	mask := plain.NewMask("one-secret-value", "another-secret", "and-a-third-one")
	for b.Loop() {
		s := splitter{mask: mask, emit: func(string) {}}
		s.write(input)
	}
}
