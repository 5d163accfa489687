package provision

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// published returns the real archive for this machine, downloaded once and kept in the user's cache.
func published(t *testing.T, p *Provisioner) (build, []byte) {
	t.Helper()
	wanted, ok := p.wantedBuild()
	if !ok {
		t.Skipf("nothing is published for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	cache, _ := newEnviron(os.Environ()).cacheDir(runtime.GOOS)
	kept := filepath.Join(cache, "test", wanted.name()+".jar")
	if archive, err := os.ReadFile(kept); err == nil {
		return wanted, archive
	}
	archive, err := get(t.Context(), p.repository()+wanted.path(), func(int64, int64) {})
	if err != nil {
		unreachable(t, "the Maven repository", err)
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(kept, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return wanted, archive
}

// serve is a Maven repository that has one archive, and counts how often it is asked.
func serve(t *testing.T, path string, archive []byte, status int) (address string, asked *int) {
	t.Helper()
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		if r.URL.Path != "/mirror"+path {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(archive)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/mirror/", asked
}

// withoutPrograms is a checkout on a machine without server programs, with a cache of its own that anybody may enter.
func withoutPrograms(t *testing.T) (*checkout, *Provisioner) {
	t.Helper()
	parent, err := os.MkdirTemp("", "provision-cache-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	cache := filepath.Join(parent, "Früh stück")
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t)
	c.env["XDG_CACHE_HOME"] = cache
	c.env["PATH"] = t.TempDir()
	p := c.provisioner()
	p.places = nil
	return c, p
}

func TestDownloadedPostgresServes(t *testing.T) {
	t.Parallel()
	c, p := withoutPrograms(t)
	wanted, archive := published(t, p)
	address, asked := serve(t, wanted.path(), archive, http.StatusOK)
	p.env[repositoryVariable] = address
	provision := c.provide(p, engine.NeedPostgres)
	version, _, _ := strings.Cut(wanted.version, ".0")
	if got := mustQuery(t, provision.Env["DATABASE_URL"], "SHOW server_version"); got != version {
		t.Errorf("PostgreSQL %s serves, want %s", got, version)
	}
	if !strings.Contains(provision.Detail, c.env["XDG_CACHE_HOME"]) || !c.heard("downloading PostgreSQL 15", "once") {
		t.Errorf("detail %q, said %q", provision.Detail, c.said)
	}

	again := newCheckout(t)
	again.env = c.env
	q := again.provisioner()
	q.places = nil
	q.env[repositoryVariable] = "http://127.0.0.1:1" // works without a network now
	again.provide(q, engine.NeedPostgres)
	if *asked != 1 {
		t.Errorf("it was downloaded %d times", *asked)
	}
}

func TestDownloadRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		archive []byte
		status  int
		want    []string
	}{
		{"another content", []byte("malware"), http.StatusOK, []string{"its SHA-256 is", "not the pinned"}},
		{"not published", nil, http.StatusNotFound, []string{"404", "mage setup", repositoryVariable}},
		{"a sign-in page", []byte("<html>"), http.StatusForbidden, []string{"403"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := withoutPrograms(t)
			wanted, ok := p.wantedBuild()
			if !ok {
				t.Skip("nothing is published for this machine")
			}
			p.env[repositoryVariable], _ = serve(t, wanted.path(), test.archive, test.status)
			_, err := p.Provide(t.Context(), engine.NeedPostgres, c.say)
			if err == nil {
				t.Fatal("it serves")
			}
			for _, want := range append(test.want, "no server programs on this machine", "apt-get install postgresql-15", "DATABASE_URL") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
			dir := filepath.Join(c.env["XDG_CACHE_HOME"], "meter-pipeline", wanted.name())
			if exists(dir) || exists(dir+".unpacking") {
				t.Error("something is left")
			}
		})
	}
}

func TestRepository(t *testing.T) {
	c := newCheckout(t)
	p := c.provisioner()
	if got := p.repository(); !strings.HasPrefix(got, "https://") {
		t.Errorf("the library's own repository is not found any more: %q", got)
	}
	p.env[repositoryVariable] = "https://mirror.example/maven/"
	if got := p.repository(); got != "https://mirror.example/maven" {
		t.Errorf("the variable's repository is %q", got)
	}
}

func TestPinnedBuild(t *testing.T) {
	for _, test := range []struct {
		major, goos, goarch string
		alpine              bool
		want                string
	}{
		{"15", "linux", "amd64", false, "linux-amd64"},
		{"15", "linux", "arm64", false, "linux-arm64v8"},
		{"15", "linux", "amd64", true, "linux-amd64-alpine"},
		{"15", "darwin", "arm64", false, "darwin-arm64v8"},
		{"15", "darwin", "amd64", false, "darwin-amd64"},
		{"15", "linux", "riscv64", false, ""},
		{"1", "linux", "amd64", false, ""},
		{"16", "linux", "amd64", false, ""},
	} {
		got, ok := pinnedBuild(test.major, test.goos, test.goarch, test.alpine)
		if got.platform != test.want || ok != (test.want != "") {
			t.Errorf("%+v: %+v, %v", test, got, ok)
		}
		if sum, err := hex.DecodeString(got.sha256); ok && (err != nil || len(sum) != sha256.Size) {
			t.Errorf("%s has no SHA-256", got.platform)
		}
	}
}

// tarOf is an archive with one entry.
func tarOf(t *testing.T, header tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	if err := writer.WriteHeader(&header); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestUnpackStaysInside(t *testing.T) {
	for _, header := range []tar.Header{
		{Name: "../evil", Typeflag: tar.TypeReg},
		{Name: "a/../../evil", Typeflag: tar.TypeReg},
		{Name: "link", Linkname: "../evil", Typeflag: tar.TypeSymlink},
		{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		{Name: "pipe", Typeflag: tar.TypeFifo},
	} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewReader(bytes.NewReader(tarOf(t, header)))
		next, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := unpackOne(root, next, archive); err == nil {
			t.Errorf("%s → %q is unpacked", header.Name, header.Linkname)
		}
		_ = root.Close()
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("%s: something is outside", header.Name)
		}
	}
}

func TestInstallRefusesAnArchiveWithoutPrograms(t *testing.T) {
	var empty bytes.Buffer
	writer := zip.NewWriter(&empty)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for name, archive := range map[string][]byte{"no zip": []byte("x"), "no programs": empty.Bytes()} {
		dir := filepath.Join(t.TempDir(), "programs")
		if err := install(archive, dir); err == nil || exists(dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
