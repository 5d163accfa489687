// Package courier brings one request to a server over HTTP: in bounded time, again when the server asks for it or was
// not there, and without showing or giving to a third what is secret about it.
//
// It stands below Slack's channel and GitHub's client. An address may itself be a secret, as that of a webhook is.
package courier

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/retry"
)

const (
	tryLimit     = 4 * time.Second // of one try, so that there is time for another
	firstPause   = 300 * time.Millisecond
	longestWords = 4 << 10   // bytes of an answer that are read where only its words are of interest
	longestBody  = 256 << 10 // bytes of an answer
	longestQuote = 200       // bytes of an answer that are quoted
)

// Options say how. The zero value serves.
type Options struct {
	Roots   *x509.CertPool // who may vouch for a server; nil is the machine's own list
	Secrets []string       // that no error may show
	Pause   time.Duration  // before the second try; 0 is 300 ms. It doubles
	Try     time.Duration  // how long one try may take; 0 is 4 s
	Tries   int            // how many there are at the most; 0 is as many as there is time for
	Longest int            // bytes of an answer; 0 is 256 KiB
}

// A Courier is safe for use by several goroutines.
type Courier struct {
	opts   Options
	client *http.Client
	mask   *plain.Mask
}

// New returns a courier.
func New(opts Options) *Courier {
	if opts.Pause <= 0 {
		opts.Pause = firstPause
	}
	if opts.Try <= 0 {
		opts.Try = tryLimit
	}
	if opts.Longest <= 0 {
		opts.Longest = longestBody
	}
	return &Courier{opts: opts, mask: plain.NewMask(opts.Secrets...), client: &http.Client{
		// A token or a message must not go to wherever a server, or who sits before it, points to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// The context of each try bounds all of it.
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DialContext:       (&net.Dialer{}).DialContext,
			TLSClientConfig:   &tls.Config{RootCAs: opts.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
		},
	}}
}

// Close lets connections go.
func (c *Courier) Close() { c.client.CloseIdleConnections() }

// A Request is what is sent. It may be sent twice, since an answer can be lost.
type Request struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte
	Once   bool // it is sent again only if it was surely not carried out; else the error is ErrLost
	Follow bool // an answer that points elsewhere is followed, once, with nothing of the header: what is there is for who has the address
}

// An Answer is a server's last word: neither "come again" nor "go elsewhere".
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Words are an answer's body as it may be quoted.
func (c *Courier) Words(a Answer) string {
	text := plain.Line(string(a.Body[:min(len(a.Body), longestWords)]))
	quote := c.mask.Cut(text, longestQuote)
	if len(text) > longestQuote {
		quote += "…"
	}
	return quote
}

// Do sends the request until there is an answer, or no time is left for another try.
func (c *Courier) Do(ctx context.Context, r Request, say func(format string, args ...any)) (Answer, error) {
	if err := Allowed(r.URL); err != nil {
		return Answer{}, err
	}
	pause := c.opts.Pause
	for tries := 1; ; tries++ {
		answer, err := c.try(ctx, r)
		if err == nil {
			return answer, nil
		}
		busy, _ := errors.AsType[*busyError](err)
		switch {
		case r.Once && maybeDone(err):
			return Answer{}, &lostError{c.give(ctx, err, tries)}
		case ctx.Err() != nil || busy == nil && !transient(err) || tries == c.opts.Tries:
			return Answer{}, c.give(ctx, err, tries)
		}
		wait := jittered(pause)
		if busy != nil {
			wait = max(wait, busy.after)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return Answer{}, fmt.Errorf("%w; the next try would be in %v, and no time is left for it", c.give(ctx, err, tries), wait.Round(time.Millisecond))
		}
		say("%s; next try in %v", c.clean(err), wait.Round(time.Millisecond))
		if err := retry.Sleep(ctx, wait); err != nil {
			return Answer{}, c.give(ctx, err, tries)
		}
		pause *= 2
	}
}

func (c *Courier) try(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Try, errSlow)
	defer cancel()
	answer, long, err := c.ask(ctx, r)
	if err == nil && r.Follow && redirects(answer.Status) {
		var there string
		if there, err = elsewhere(r.URL, answer.Header.Get("Location")); err == nil {
			answer, long, err = c.ask(ctx, Request{Method: http.MethodGet, URL: there})
		}
	}
	switch {
	case err != nil:
		return Answer{}, slow(ctx, err)
	case redirects(answer.Status):
		return Answer{}, &redirectError{answer.Status}
	case again(answer):
		return Answer{}, &busyError{status: answer.Status, words: c.Words(answer), after: asked(answer, time.Now())}
	case long:
		return Answer{}, fmt.Errorf("its answer is longer than %d bytes", c.opts.Longest)
	}
	return answer, nil
}

// ask sends a request as it is. Long says that the answer is cut.
func (c *Courier) ask(ctx context.Context, r Request) (answer Answer, long bool, err error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, false, errors.New("its address can't be read") // the error quotes it
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	response, err := c.client.Do(request)
	if err != nil {
		return Answer{}, false, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(c.opts.Longest)+1))
	if err != nil {
		return Answer{}, false, err
	}
	if long = len(body) > c.opts.Longest; long {
		body = body[:c.opts.Longest]
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, long, nil
}

func redirects(status int) bool { return status >= 300 && status < 400 }

// elsewhere is the address to which an answer points.
func elsewhere(from, location string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errors.New("its address can't be read")
	}
	to, err := base.Parse(location)
	if err != nil || location == "" {
		return "", errors.New("it points to what is no web address")
	}
	return to.String(), Allowed(to.String())
}

// Allowed refuses to send anything in clear, but to this machine.
func Allowed(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return errors.New("its address is no web address") // the address may be a secret
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("its address does not begin with https://, and nothing is sent in clear")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
