package courier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/retry"
)

var errSlow = errors.New("it does not answer in time")

// ErrLost says that nobody knows whether a request was carried out, so it was not sent again.
var ErrLost = errors.New("it may have been done all the same")

type lostError struct{ err error }

func (e *lostError) Error() string        { return e.err.Error() + "; " + ErrLost.Error() }
func (e *lostError) Is(target error) bool { return target == ErrLost }

// maybeDone reports whether a request may have been carried out though no answer says so. It was not where a server turns
// away who asks too often, or where no connection came about.
func maybeDone(err error) bool {
	if busy, ok := errors.AsType[*busyError](err); ok {
		return busy.status != http.StatusTooManyRequests && busy.status != http.StatusForbidden
	}
	operation, ok := errors.AsType[*net.OpError](err)
	return transient(err) && (!ok || operation.Op != "dial")
}

// A busyError is an answer that asks to come again.
type busyError struct {
	status int
	words  string
	after  time.Duration // that it asks to wait; 0 if it does not say
}

func (e *busyError) Error() string {
	text := fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
	if e.words != "" {
		text += ": " + e.words
	}
	if e.after > 0 {
		text += fmt.Sprintf(" (it asks to wait %v)", e.after)
	}
	return text
}

type redirectError struct{ status int }

func (e *redirectError) Error() string {
	return fmt.Sprintf("it answers %d and points to another address, which is not followed, since what is sent is for nobody else", e.status)
}

// again reports whether an answer says that the same request may succeed later. GitHub says so of its limits with 403.
func again(a Answer) bool {
	if a.Status == http.StatusForbidden {
		return a.Header.Get("Retry-After") != "" || a.Header.Get("X-Ratelimit-Remaining") == "0"
	}
	return retry.Status(a.Status)
}

// asked is how long a server asks to wait: in seconds, until a date, or until its limit is renewed.
func asked(a Answer, now time.Time) time.Duration {
	if wait, ok := retry.After(a.Header, now); ok {
		return wait
	}
	if a.Header.Get("X-Ratelimit-Remaining") == "0" {
		if unix, err := strconv.ParseInt(a.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			return max(time.Unix(unix, 0).Sub(now).Round(time.Second), 0)
		}
	}
	return 0
}

// transient reports whether a connection that failed may succeed later.
func transient(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	if _, ok := errors.AsType[*redirectError](err); ok {
		return false
	}
	if errors.Is(err, errSlow) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// slow puts the limit of one try into words.
func slow(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

// give is the last error, in words that hold no secret.
func (c *Courier) give(ctx context.Context, err error, tries int) error {
	text := c.clean(err)
	if ctx.Err() != nil {
		text = "it was not done in time"
		if !errors.Is(err, ctx.Err()) && !errors.Is(err, context.Cause(ctx)) {
			text += ": " + c.clean(err)
		}
	}
	if tries > 1 {
		text += fmt.Sprintf(" (given up after %d tries)", tries)
	}
	return errors.New(text)
}

// clean is an error on one line. The address, which net/http puts before each of its errors, is left out.
func (c *Courier) clean(err error) string {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return c.clean(request.Err)
	}
	return c.mask.String(plain.Line(err.Error()))
}

// jittered is around a pause, so that many who were turned away together do not come back together.
func jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause) //nolint:gosec // nothing secret hangs on it
}
