package provision

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	// repositoryVariable names a Maven repository to download from, such as a company's mirror.
	repositoryVariable = "METER_MAVEN_URL"

	longestArchive = 200 << 20
	stallLimit     = time.Minute
	fetchAttempts  = 2
)

// A build is PostgreSQL compiled for one platform, as embedded-postgres publishes it.
type build struct {
	version  string
	platform string
	sha256   string // of the archive, pinned: what is downloaded is run
}

// pinnedBuild is the build for a platform. "alpine" is Linux with musl.
func pinnedBuild(major, goos, goarch string, alpine bool) (build, bool) {
	const version = "15.15.0"
	platform := goos + "-" + goarch
	if goarch == "arm64" {
		platform += "v8"
	}
	if alpine {
		platform += "-alpine"
	}
	sums := map[string]string{
		"linux-amd64":        "7c73da91870b0615b37a8ceb84871bd42f28c3600f87a97ca9747f4a0b8d2dbb",
		"linux-arm64v8":      "623ee4c35cfdccd585d4473ff9b51942d465a7f8280687e6b960f56066f58909",
		"linux-amd64-alpine": "23b17966a07621179f3cb4b66404f99eb459e4beddc94d30cb1786115c5cf5b2",
		"darwin-amd64":       "e025db76c3b9a02cb70af0fe596079035e9a559c15f98280462e9f5ebb05069e",
		"darwin-arm64v8":     "c9611126d7b87e86423ec147b65da41a12c4e247097264496fc4af6fba8a828b",
	}
	sum, ok := sums[platform]
	if !ok || !strings.HasPrefix(version, major+".") {
		return build{}, false
	}
	return build{version, platform, sum}, true
}

func (p *Provisioner) wantedBuild() (build, bool) {
	return pinnedBuild(p.project.Postgres.Version, runtime.GOOS, runtime.GOARCH, exists("/etc/alpine-release"))
}

func (b build) name() string { return "postgresql-" + b.version + "-" + b.platform }

// path is where a Maven repository keeps the archive.
func (b build) path() string {
	artifact := "embedded-postgres-binaries-" + b.platform
	return "/io/zonky/test/postgres/" + artifact + "/" + b.version + "/" + artifact + "-" + b.version + ".jar"
}

// repository is the variable's, else the one that embedded-postgres uses. That library is the ordinary client of these
// builds, but it fetches only on the way to starting a server, which root can't do, without a way to stop it, and
// believes the repository about the checksum; so of the library only the address is used.
func (p *Provisioner) repository() string {
	if own := p.env[repositoryVariable]; own != "" {
		return strings.TrimRight(own, "/")
	}
	return reflect.ValueOf(embeddedpostgres.DefaultConfig()).FieldByName("binaryRepositoryURL").String()
}

// fetchServerPrograms returns the downloaded server programs, and downloads them if they are not there yet.
func (p *Provisioner) fetchServerPrograms(ctx context.Context, say func(string)) (serverPrograms, error) {
	wanted, ok := p.wantedBuild()
	if !ok {
		return serverPrograms{}, fmt.Errorf("there is none of PostgreSQL %s for %s/%s", p.project.Postgres.Version, runtime.GOOS, runtime.GOARCH)
	}
	cache, err := p.serverCache()
	if err != nil {
		return serverPrograms{}, err
	}
	dir := filepath.Join(cache, wanted.name())
	programs := filepath.Join(dir, "bin")
	if !exists(dir) {
		if err := makePublic(cache); err != nil {
			return serverPrograms{}, fmt.Errorf("make cache directory: %w", err)
		}
		lock, err := openLock(filepath.Join(cache, wanted.name()+".lock"))
		if err != nil {
			return serverPrograms{}, err
		}
		defer func() { _ = lock.close() }()
		if err := lock.take(ctx, func() { say("waiting for another run, which downloads PostgreSQL") }); err != nil {
			return serverPrograms{}, err
		}
		if !exists(dir) {
			if err := p.download(ctx, wanted, dir, say); err != nil {
				return serverPrograms{}, err
			}
		}
	}
	found, err := p.checkPrograms(ctx, programs)
	if err != nil {
		return serverPrograms{}, fmt.Errorf("%w (in %s: remove that directory to have it downloaded again)", err, programs)
	}
	return found, nil
}

// serverCache is a cache directory that the server's user can enter: root's own home mostly is not.
func (p *Provisioner) serverCache() (string, error) {
	account, err := serverAccount()
	if err != nil {
		return "", err
	}
	var dirs []string
	if dir, ok := p.env.cacheDir(runtime.GOOS); ok {
		dirs = append(dirs, dir)
	}
	if account.user != nil {
		dirs = append(dirs, "/var/cache/meter-pipeline")
	}
	var errs []error
	for _, dir := range append(dirs, p.own("tools")) {
		if !mayWrite(dir) {
			errs = append(errs, fmt.Errorf("%s is not writable", dir))
			continue
		}
		if err := account.canReach(nearest(dir)); err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("find a place for the server programs: %w", errors.Join(errs...))
}

func (p *Provisioner) download(ctx context.Context, wanted build, dir string, say func(string)) error {
	var archive []byte
	var err error
	for range fetchAttempts {
		archive, err = get(ctx, p.repository()+wanted.path(), func(done, total int64) {
			of := ""
			if total > 0 { // a proxy may not tell
				of = fmt.Sprintf(" of %d", total>>20)
			}
			say(fmt.Sprintf("downloading PostgreSQL %s, once: %d%s MB", wanted.version, done>>20, of))
		})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%w: with a network, `mage setup` does it once and for all; %s names another Maven repository, HTTPS_PROXY a proxy", err, repositoryVariable)
	}
	if sum := sha256.Sum256(archive); hex.EncodeToString(sum[:]) != wanted.sha256 {
		return fmt.Errorf("check download of PostgreSQL %s: its SHA-256 is %x, and not the pinned %s: something between here and the repository changes it", wanted.version, sum, wanted.sha256)
	}
	say("unpacking PostgreSQL " + wanted.version)
	return install(archive, dir)
}

// install unpacks beside the place and moves it there as a whole.
func install(archive []byte, dir string) error {
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	for _, file := range reader.File {
		if !strings.HasSuffix(file.Name, ".txz") {
			continue
		}
		packed, err := file.Open()
		if err != nil {
			return fmt.Errorf("open archive: %w", err)
		}
		defer func() { _ = packed.Close() }()
		temporary := dir + ".unpacking" // ours alone under the lock; a killed run may have left it
		if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o755)); err != nil {
			return fmt.Errorf("unpack archive: %w", err)
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		if err := unpack(packed, temporary); err != nil {
			return fmt.Errorf("unpack archive: %w", err)
		}
		if err := os.Rename(temporary, dir); err != nil {
			return fmt.Errorf("unpack archive: %w", err)
		}
		return nil
	}
	return errors.New("open archive: there are no server programs in it")
}

// get downloads as a whole. It gives up when nothing comes for a minute, however long it takes in all.
func get(ctx context.Context, address string, progress func(done, total int64)) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallLimit, func() { cancel(fmt.Errorf("nothing came for %s", stallLimit)) })
	defer stalled.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // the user's own repository
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // what comes is checked against a pinned hash
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download: %s answers %s", address, response.Status)
	}
	var archive bytes.Buffer
	for told, next := int64(0), int64(0); ; {
		n, err := io.CopyN(&archive, response.Body, 1<<20)
		stalled.Reset(stallLimit)
		if told += n; told >= next {
			progress(told, response.ContentLength)
			next = told + max(response.ContentLength/4, 4<<20)
		}
		switch {
		case errors.Is(err, io.EOF):
			return archive.Bytes(), nil
		case err != nil:
			return nil, fmt.Errorf("download: %w", errors.Join(err, context.Cause(ctx)))
		case told > longestArchive:
			return nil, fmt.Errorf("download: %s has more than %d MB", address, longestArchive>>20)
		}
	}
}
