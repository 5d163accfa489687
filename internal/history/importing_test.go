package history

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const aReport = `{"schema_version":1,"id":"20261123-142501-3f9c%d","target":"check","status":"failed","exit_code":1,
"started":"2026-11-23T14:25:01.5Z","duration_seconds":41.5,"commit":"abc","branch":"","dirty":false,"limit":2,
"origin":{"author":"Ada\u001b[31m","branch":"develop","url":"https://ci.example/1"},
"stages":[{"name":"unit","status":"failed","duration_seconds":40,"steps":[{"name":"pytest","status":"failed","cached":false,
"started":"2026-11-23T14:25:02.5Z","duration_seconds":39,"findings":[{"rule":"test-failed","severity":"high","message":"x"}],
"allowed":[{}],"metrics":[{"name":"coverage","value":81.5,"unit":"%%","threshold":80,"direction":"at_least"},{"name":"odd","value":null}],"warnings":[]}]}]}`

func reportOf(n int) string { return fmt.Sprintf(aReport, n) }

func TestImportDirIsIdempotent(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "history.jsonl")
	dir := filepath.Join(base, "artifacts")
	for name, content := range map[string]string{
		"a/report.json": reportOf(1), "b/deep/report.json": reportOf(2), "b/copy/report.json": reportOf(2),
		"c/report.json": "{", "d/report.json": `{"schema_version":1,"id":"../../x"}`, "e/other.json": reportOf(3),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []Import{{Found: 5, Added: 2, Known: 1}, {Found: 5, Added: 0, Known: 3}} {
		got, err := ImportDir(t.Context(), path, 0, dir)
		if err != nil || got.Found != want.Found || got.Added != want.Added || got.Known != want.Known || len(got.Refused) != 2 {
			t.Errorf("time %d: %+v, %v", i, got, err)
		}
	}
	all, err := Read(path)
	if err != nil || len(all.Runs) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	r := all.Runs[0]
	if r.Detail.Author != "Ada" || r.Detail.Branch != "develop" || !r.Detail.Imported || r.Seconds != 41.5 || r.Exit != 1 {
		t.Errorf("%+v %+v", r, r.Detail)
	}
	result := r.Detail.Results[0]
	if result.At != 1 || len(result.Metrics) != 1 || result.Metrics[0].Threshold != 80 || result.Findings["high"] != 1 || result.Allowed != 1 {
		t.Errorf("%+v", result)
	}
	if h := open(t, path); h.Expected("unit", "pytest").Seconds() != 39 {
		t.Errorf("expected %s", h.Expected("unit", "pytest"))
	}
}

func TestImportOfNothingIsAnError(t *testing.T) {
	if _, err := ImportDir(t.Context(), filepath.Join(t.TempDir(), "h"), 0, t.TempDir()); err == nil || !strings.Contains(err.Error(), "there is no report.json in it") {
		t.Errorf("got %v", err)
	}
	if _, err := ImportDir(t.Context(), "h", 0, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there was imported")
	}
	file := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(file, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportZip(t.Context(), "h", 0, file); err == nil || !strings.Contains(err.Error(), "name a directory or a .zip") {
		t.Errorf("got %v", err)
	}
}

func TestImportDirRefusesLinks(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside.json")
	if err := os.WriteFile(outside, []byte(reportOf(1)), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "report.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportDir(t.Context(), filepath.Join(base, "h"), 0, dir); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
}

// entry is one of an archive.
type entry struct {
	name, content string
	mode          fs.FileMode
	claims        uint64 // uncompressed size that its header claims; 0 is the truth
}

func archive(t *testing.T, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			header.SetMode(e.mode)
		}
		if e.claims > 0 {
			header.Method, header.UncompressedSize64, header.CompressedSize64 = zip.Store, e.claims, uint64(len(e.content))
			out, err := w.CreateRaw(header)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := out.Write([]byte(e.content)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		out, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "artifacts.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportZip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	file := archive(t, entry{name: "runs/1/report.json", content: reportOf(1)}, entry{name: "runs/1/logs/x.log", content: "y"}, entry{name: "report.json", content: reportOf(2)})
	for _, added := range []int{2, 0} {
		if got, err := ImportZip(t.Context(), path, 0, file); err != nil || got.Added != added || got.Found != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestImportRefusesHostileArchives(t *testing.T) {
	good := entry{name: "report.json", content: reportOf(1)}
	many := make([]entry, mostEntries+1)
	for i := range many {
		many[i] = entry{name: fmt.Sprint(i)}
	}
	tests := map[string]struct {
		entries []entry
		want    string
	}{
		"parent":    {[]entry{good, {name: "../report.json", content: reportOf(2)}}, "leads out"},
		"absolute":  {[]entry{good, {name: "/etc/report.json", content: reportOf(2)}}, "leads out"},
		"backslash": {[]entry{good, {name: `..\report.json`, content: reportOf(2)}}, "leads out"},
		"null":      {[]entry{good, {name: "a\x00/report.json", content: reportOf(2)}}, "leads out"},
		"link":      {[]entry{good, {name: "a/report.json", content: "/etc/passwd", mode: fs.ModeSymlink | 0o777}}, "is no file"},
		"device":    {[]entry{good, {name: "a/x", mode: fs.ModeDevice | 0o666}}, "is no file"},
		"twice":     {[]entry{good, {name: "./report.json", content: reportOf(2)}}, "twice"},
		"bomb":      {[]entry{{name: "report.json", content: strings.Repeat(" ", longestReport+1)}}, "more than"},
		"claims":    {[]entry{good, {name: "x", content: "y", claims: 1 << 40}}, "more than"},
		"lies":      {[]entry{{name: "report.json", content: reportOf(1), claims: 5}}, "report.json: zip: "},
		"entries":   {many, "entries"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			history := filepath.Join(t.TempDir(), "history.jsonl")
			got, err := ImportZip(t.Context(), history, 0, archive(t, tt.entries...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if _, err := os.Stat(history); err == nil {
				t.Error("something of it was remembered")
			}
		})
	}
}

func FuzzFromReport(f *testing.F) {
	f.Add([]byte(reportOf(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fromReport(b)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "h")
		if err := appendLines(t.Context(), path, 0, r); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || len(got.Runs) != 1 || got.Warnings != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Jobs of CI hand on what they deployed; each tells of the earlier ones, too.
func TestDeploysAreImportedOnce(t *testing.T) {
	base := t.TempDir()
	path, dir := filepath.Join(base, "history.jsonl"), filepath.Join(base, "artifacts")
	began := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	deploy := func(n int) Deploy {
		at := began.Add(time.Duration(n) * time.Hour)
		return Deploy{Environment: "production", Release: fmt.Sprint("r", n), Status: DeployDone, Started: at, Finished: at.Add(time.Minute)}
	}
	put := func(job string, hand func(string) error) {
		t.Helper()
		at := filepath.Join(dir, job)
		if err := errors.Join(os.MkdirAll(at, 0o755), hand(at)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string) func(string) error {
		return func(at string) error { return os.WriteFile(filepath.Join(at, name), []byte(content), 0o600) }
	}
	put("b", func(at string) error { return HandOn(at, deploy(1)) })
	put("a", func(at string) error { return HandOn(at, deploy(1), deploy(2)) })
	put("a", write("report.json", reportOf(1)))
	put("c", write(DeploysName, "{"))
	put("d", write(DeploysName, `{"schema": 9}`))
	put("e", write(DeploysName, `{"schema": 1, "deploys": [{"environment": "production"}]}`))
	for _, want := range []int{2, 0} {
		got, err := ImportDir(t.Context(), path, 0, dir)
		if err != nil || got.Found != 1 || got.Deploys != want || len(got.Refused) != 3 {
			t.Errorf("%+v, %v; want %d deploys", got, err, want)
		}
	}
	all, err := Read(path)
	if err != nil || len(all.Deploys) != 2 || all.Deploys[0].Release != "r1" || all.Deploys[1].Release != "r2" {
		t.Errorf("%+v, %v", all.Deploys, err)
	}
}
