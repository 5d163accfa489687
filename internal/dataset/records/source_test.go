package records

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, path string, o Options) *Reader {
	t.Helper()
	r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadsAFile(t *testing.T) {
	text := []byte("a,b\n1,2\n")
	for name, data := range map[string][]byte{
		"plain": text, "gzip": zip(t, text), "gzip of two members": append(zip(t, text[:5]), zip(t, text[5:])...),
		"gzip with an empty member": append(zip(t, nil), zip(t, text)...),
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, write(t, "data.csv", data), Options{})
			got := readAll(t, r)
			if rows(got.Records) != "a|b / 1|2" || got.Err != "" || len(got.Problems) > 0 {
				t.Errorf("read %+v", got)
			}
			if r.Bytes() != int64(len(data)) || r.Size() != int64(len(data)) {
				t.Errorf("%d bytes of %d are read, want %d", r.Bytes(), r.Size(), len(data))
			}
			if _, err := r.Next(context.Background()); !errors.Is(err, io.EOF) {
				t.Errorf("behind the end comes %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	locked := write(t, "locked.csv", []byte("a\n"))
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	good := write(t, "good.csv", []byte("a\n"))
	for _, c := range []struct {
		name, path string
		o          Options
		want       string
		is         error
	}{
		{"missing", filepath.Join(dir, "no.csv"), Options{}, "check the path in the contract", fs.ErrNotExist},
		{"below a file", good + "/x.csv", Options{}, "not a directory", nil},
		{"directory", dir, Options{}, "this is a directory, not a file: name a file", nil},
		{"pipe", pipe, Options{}, "this is a pipe, not a file", nil},
		{"socket", socket, Options{}, "this is a socket, not a file", nil},
		{"device", "/dev/null", Options{}, "this is a device, not a file", nil},
		{"loop of links", loop, Options{}, "too many levels of symbolic links", nil},
		{"unreadable", locked, Options{}, "give this user the right to read it", fs.ErrPermission},
		{"unknown encoding", good, Options{Encoding: "ebcdic"}, `"ebcdic": it is not known: save the file in one of utf-8, `, nil},
		{"unknown compression", good, Options{Compression: "zip"}, `"zip" is not known: use gz`, nil},
		{"no gzip", good, Options{Compression: "gz"}, "it is not gzip, as its contract says: remove compression", nil},
		{"empty, not gzip", write(t, "empty.gz", nil), Options{Compression: "gz"}, "it is not gzip", nil},
	} {
		if c.path == locked && os.Geteuid() == 0 {
			continue // root may read every file, so there is no such case
		}
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.path, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error is %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestBrokenGzip(t *testing.T) {
	text := numbers(2000, 0, "\n")
	whole := zip(t, text)
	flip := func(at int) []byte {
		data := bytes.Clone(whole)
		data[at] ^= 0x55
		return data
	}
	for name, data := range map[string][]byte{
		"header cut": whole[:5], "cut": whole[:len(whole)/2], "trailer cut": whole[:len(whole)-1],
		"data changed": flip(len(whole) / 2), "checksum changed": flip(len(whole) - 8), "length changed": flip(len(whole) - 1),
		"a byte behind": append(bytes.Clone(whole), 'x'), "text behind": append(bytes.Clone(whole), "a,b,c,d,e,f,g\n"...),
		"zeros behind":      append(bytes.Clone(whole), make([]byte, 512)...),
		"second member cut": append(bytes.Clone(whole), whole[:len(whole)/3]...),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(write(t, "data.csv.gz", data), Options{})
			if err == nil {
				got := readAll(t, r)
				err = errors.New(got.Err)
				if e := r.Close(); e != nil {
					t.Error(e)
				}
			}
			if !strings.Contains(err.Error(), "fetch the file again") {
				t.Errorf("error is %q, want it to say what to do", err)
			}
		})
	}
}

func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	zeros := bytes.Repeat([]byte("0"), 1<<20)
	for range 24 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	r := open(t, write(t, "bomb.csv.gz", bomb.Bytes()), Options{})
	defer r.Close()
	got := readAll(t, r)
	if len(got.Records) != 1 || len(got.Records[0][0]) != maxRecord || kinds(got.Problems) != "too-long@0.0" {
		t.Errorf("%d records, problems %v", len(got.Records), got.Problems)
	}
}

func TestSparseFile(t *testing.T) {
	path := write(t, "sparse.csv", []byte("a,b\n"))
	if err := os.Truncate(path, 40<<20); err != nil {
		t.Fatal(err)
	}
	r := open(t, path, Options{})
	got := readAll(t, r)
	if len(got.Records) != 2 || got.Counts[TooLong] != 1 || got.Counts[NUL] != 1 || r.Bytes() != 40<<20 {
		t.Errorf("%d records, %v, %d bytes", len(got.Records), got.Problems, r.Bytes())
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestFileThatChanges(t *testing.T) {
	text := numbers(16_000, 0, "\n") // two blocks
	zipped := zip(t, text)
	change := map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more\n")
			return errors.Join(err, f.Close())
		},
		"shrinks":     func(path string) error { return os.Truncate(path, 1<<20+1<<19) },
		"is emptied":  func(path string) error { return os.Truncate(path, 0) },
		"is replaced": func(path string) error { return os.Rename(write(t, "new.csv", text), path) },
		"is removed":  os.Remove,
		"is written":  func(path string) error { return os.WriteFile(path, text, 0o600) },
		"is touched":  func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	}
	for name, change := range change {
		for _, packed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				data := text
				if packed {
					data = zipped
				}
				path := write(t, "data.csv", data)
				if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
					t.Fatal(err)
				}
				r := open(t, path, Options{})
				if _, err := r.Next(context.Background()); err != nil {
					t.Fatal(err)
				}
				if err := change(path); err != nil {
					t.Fatal(err)
				}
				for {
					b, err := r.Next(context.Background())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						if !errors.Is(err, ErrChanged) {
							t.Errorf("Next says %v", err)
						}
						break
					}
					b.Parse()
					r.Release(b)
				}
				if err := r.Close(); !errors.Is(err, ErrChanged) {
					t.Errorf("Close says %v, want that the file changed", err)
				}
			})
		}
	}
}

func TestCancel(t *testing.T) {
	r := open(t, write(t, "data.csv", numbers(20_000, 0, "\n")), Options{})
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 2 {
		if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	}
}

// inUTF16 writes text as UTF-16.
func inUTF16(text string, big bool) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

func TestEncodings(t *testing.T) {
	const text = "id,ort\n1,\"Zürich, 😀\"\n"
	const want = "id|ort / 1|Zürich, 😀"
	for _, c := range []struct {
		name, encoding string
		data           []byte
		rows           string
		problems       string
	}{
		{"default", "", []byte(text), want, ""},
		{"any case", "UTF8", []byte(text), want, ""},
		{"utf-8-sig", "utf-8-sig", []byte(markUTF8 + text), want, ""},
		{"utf-8-sig without mark", "utf_8_sig", []byte(text), want, ""},
		{"little, by mark", "utf-16", inUTF16("\ufeff"+text, false), want, ""},
		{"big, by mark", "utf-16", inUTF16("\ufeff"+text, true), want, ""},
		{"no mark is little", "utf-16", inUTF16(text, false), want, ""},
		{"little", "utf-16-le", inUTF16(text, false), want, ""},
		{"big", "UTF-16BE", inUTF16(text, true), want, ""},
		{"little with mark", "utf-16-le", inUTF16("\ufeff"+text, false), want, "byte-order-mark@0.0"},
		{"half a unit", "utf-16-le", append(inUTF16("a\nb", false), 'x'), "a / b\xff", "encoding@1.0"},
		{"half a character", "utf-16-le", append(inUTF16("a\n", false), 0x3d, 0xd8), "a / \xff", "encoding@1.0"},
		{"wrong half first", "utf-16-le", append([]byte{0, 0xdc}, inUTF16("b\n", false)...), "\xffb", "encoding@0.0"},
		{"two first halves", "utf-16-be", []byte{0xd8, 0x3d, 0xd8, 0x3d, 0xde, 0}, "\xff😀", "encoding@0.0"},
		{"Latin-1", "iso-8859-1", []byte("id,ort\n1,Z\xfcrich\x80\n"), "id|ort / 1|Zürich\u0080", ""},
		{"Latin-9", "iso-8859-15", []byte("1,\xa4\n"), "1|€", ""},
		{"windows-1252", "cp1252", []byte("1,\x80\x94\n"), "1|€”", ""},
		{"not in windows-1252", "windows-1252", []byte("1,\x81\n"), "1|\xff", "encoding@0.1"},
		{"not ASCII", "ascii", []byte("1,\xfc\n"), "1|\xff", "encoding@0.1"},
		{"mark of utf-8 before Latin-1", "latin-1", []byte(markUTF8 + "a\n"), "a", "byte-order-mark@0.0"},
		{"letters of Latin-1", "latin1", []byte("\xff\xfe\n"), "ÿþ", ""},
		{"mark of utf-16 in utf-8", "utf-8", inUTF16("\ufeffa", false), "a\x00", "byte-order-mark@0.0 nul@0.0"},
		{"mark, declared in gzip", "utf-8-sig", zip(t, []byte(markUTF8+text)), want, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{0, 1, 2, 3} {
				got := read(t, c.data, Options{Dialect: standard, Encoding: c.encoding, BlockSize: size})
				if diff := cmp.Diff([]string{c.rows, c.problems, ""}, []string{rows(got.Records), kinds(got.Problems), got.Err}); diff != "" {
					t.Errorf("blocks of %d (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func TestOffsetOfBytesThatAreNoText(t *testing.T) {
	for size := range 12 {
		got := read(t, []byte(markUTF8+"a,b\n\"x\"\"y\",\xe9\n"), Options{Dialect: standard, Encoding: "utf-8-sig", BlockSize: size})
		want := []string{"encoding record 1 line 1 cell 1: byte 0xe9 at offset 14 is not utf-8: save the file as utf-8, or declare its true encoding"}
		if diff := cmp.Diff(want, got.Problems); diff != "" {
			t.Errorf("blocks of %d (-want +got):\n%s", size, diff)
		}
	}
}
