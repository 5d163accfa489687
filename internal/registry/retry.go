package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/retry"
)

const (
	// longestPause bounds what doubles; what the registry itself asks for may be longer.
	longestPause = 10 * time.Second
	// leastTries are made even if one alone, such as the upload of a large blob, took longer than patience.
	leastTries = 3
)

// retry does it until it succeeds, fails for good, or patience or context end. Whatever it does must do no harm when
// it is done twice: a request may have been carried out although its answer was lost.
func (c *Client) retry(ctx context.Context, repo name.Repository, what string, do func(context.Context) error) error {
	begun := time.Now()
	pause := c.opts.Pause
	for tries := 1; ; tries++ {
		err := do(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if !transient(err) {
			return c.explain(repo, what, err)
		}
		// Half of the pause is by chance, so that many who were turned away together do not come back together.
		wait := pause/2 + rand.N(pause/2+1) //nolint:gosec // nothing secret hangs on it
		asked := ""
		if busy, ok := errors.AsType[*busyError](err); ok && busy.after > 0 {
			wait = max(wait, busy.after)
			asked = fmt.Sprintf(" (the registry asks to wait %v)", busy.after)
		}
		over := time.Since(begun)+wait > c.opts.Patience
		if over && (tries >= leastTries || wait > c.opts.Patience) {
			given := fmt.Sprintf("%s: given up after %d tries in %v%s", what, tries, time.Since(begun).Round(time.Millisecond), asked)
			return c.explain(repo, given, err)
		}
		c.opts.Log("%s: %s; next try in %v%s", what, c.clean(err), wait.Round(time.Millisecond), asked)
		if err := retry.Sleep(ctx, wait); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		pause = min(2*pause, longestPause)
	}
}

// transient reports whether the same may succeed later.
func transient(err error) bool {
	if _, ok := errors.AsType[*busyError](err); ok {
		return true
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		for _, d := range answer.Errors {
			// An upload that the registry no longer knows, as it was restarted meanwhile, is begun anew.
			if d.Code == transport.BlobUploadUnknownErrorCode || d.Code == transport.BlobUploadInvalidErrorCode || d.Code == transport.TooManyRequestsErrorCode {
				return true
			}
		}
		return false
	}
	if lasting(err) {
		return false
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return true
	}
	_, request := errors.AsType[*url.Error](err)
	_, network := errors.AsType[net.Error](err)
	return request || network
}

// lasting reports what no second try mends: a certificate that nobody trusts, a name that nobody knows, and what this
// client refuses by itself.
func lasting(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return true
	}
	return errors.Is(err, errClear)
}

// explain says what a person can do, in words that hold no secret. What the error is stays known to errors.Is.
func (c *Client) explain(repo name.Repository, what string, err error) error {
	said := &spoken{text: what + ": " + c.clean(err), err: err}
	busy, _ := errors.AsType[*busyError](err)
	switch code := status(err); {
	case code == http.StatusNotFound:
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		who := "nobody in particular"
		if c.opts.Username != "" && repo.RegistryStr() == c.opts.Host {
			who = fmt.Sprintf("the user %q", c.opts.Username)
		}
		said.text = fmt.Sprintf("%s: registry %s refuses %s (%d): set REGISTRY_USERNAME and REGISTRY_PASSWORD to who may write to %s, or run `docker login %s`",
			what, repo.RegistryStr(), who, code, repo.RepositoryStr(), repo.RegistryStr())
	case busy == nil && transient(err):
		said.text += fmt.Sprintf(": is the registry %s there, and can it be reached from here?", repo.RegistryStr())
	}
	return said
}

// clean is an error's text on one line, with no secret in it and nothing that steers a terminal. The address is left
// out: that of an upload carries the right to write.
func (c *Client) clean(err error) string {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return c.clean(request.Err)
	}
	return c.mask.String(plain.Line(err.Error()))
}

// spoken is an error in other words.
type spoken struct {
	text string
	err  error
}

func (s *spoken) Error() string { return s.text }

// Unwrap lets errors.Is and errors.As see what it was.
func (s *spoken) Unwrap() error { return s.err }
