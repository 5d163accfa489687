package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/meter-ml/meter-pipeline/internal/retry"
)

const (
	connectLimit = 15 * time.Second // to reach a registry, and for its certificate
	answerLimit  = time.Minute      // for an answer, once all of a request is sent
	longestWords = 4 << 10          // bytes of an error's text that are read
)

// newTransport is the library's own, but for the limits. A proxy is the one that the environment names, as with docker;
// a registry on this machine is never reached through it.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectLimit}).DialContext,
		TLSHandshakeTimeout:   connectLimit,
		ResponseHeaderTimeout: answerLimit,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
	}
}

// careful speaks without TLS with a registry on this machine, and only with that: the library would try both, and take
// more hosts for near ones. An answer that asks to come again becomes an error that says when.
type careful struct{ inner http.RoundTripper }

var errClear = errors.New("only a registry on this machine is spoken with without TLS: give the registry a certificate")

// RoundTrip is http.RoundTripper's.
func (t careful) RoundTrip(request *http.Request) (*http.Response, error) {
	switch near := loopback(request.URL.Hostname()); {
	case near && request.URL.Scheme == "https":
		request = request.Clone(request.Context())
		request.URL.Scheme = "http"
	case !near && request.URL.Scheme != "https":
		return nil, fmt.Errorf("%s: %w", request.URL.Host, errClear)
	}
	response, err := t.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if damaged(request, response.StatusCode) {
		response.StatusCode = http.StatusNotFound
	}
	if !retry.Status(response.StatusCode) {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	after, _ := retry.After(response.Header, time.Now())
	words, _ := io.ReadAll(io.LimitReader(response.Body, longestWords)) // as many as come: they only explain
	return nil, &busyError{
		status: response.StatusCode, words: strings.TrimSpace(string(words)), after: after,
	}
}

// damaged reports whether a registry fails over its own record of a blob, as docker-registry does for good once it was
// killed while it wrote that record. Sending the blob mends it, and does no harm if the blob was whole.
func damaged(request *http.Request, status int) bool {
	return request.Method == http.MethodHead && status == http.StatusInternalServerError && strings.Contains(request.URL.Path, "/blobs/")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A busyError is an answer that asks to come again.
type busyError struct {
	status int
	words  string
	after  time.Duration // that the registry asks to wait; 0 if it does not say
}

func (e *busyError) Error() string {
	text := fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
	if e.words != "" {
		text += ": " + e.words
	}
	return text
}

// basic is how credentials travel, and would turn up where a request is quoted.
func basic(username, password string) string {
	if password == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
}

// raw is a manifest as bytes.
type raw struct {
	bytes     []byte
	mediaType types.MediaType
}

// RawManifest is remote.Taggable's.
func (r raw) RawManifest() ([]byte, error) { return r.bytes, nil }

// MediaType is what the registry is told that it is.
func (r raw) MediaType() (types.MediaType, error) { return r.mediaType, nil }
