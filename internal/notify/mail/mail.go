// Package mail says messages by e-mail, over SMTP with TLS and to nobody without: each recipient gets a letter of its own,
// so that one that is refused keeps it from no other one.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	firstPause   = 500 * time.Millisecond
	patience     = 10 * time.Second // where the context has no deadline
	longestQuote = 300              // bytes of an error
)

// Options say who writes to whom.
type Options struct {
	Server  Server
	From    string
	To      []string
	Roots   *x509.CertPool // nil is the machine's own list
	Secrets []string
	Pause   time.Duration // before the second try; 0 is 500 ms. It doubles
}

// A Channel is the recipients of one list.
type Channel struct {
	opts Options
	mask *plain.Mask
}

// New returns a channel.
func New(o Options) *Channel {
	if o.Pause <= 0 {
		o.Pause = firstPause
	}
	return &Channel{opts: o, mask: plain.NewMask(append([]string{o.Server.Password, o.Server.url}, o.Secrets...)...)}
}

// Send implements notify.Channel.
func (c *Channel) Send(ctx context.Context, m notify.Message, say func(string, ...any)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var refused []string
	left := c.opts.To
	pause := c.opts.Pause
	for tries := 1; ; tries++ {
		again, failed, err := c.try(ctx, m, left)
		refused = append(refused, failed...)
		left = again
		if len(left) == 0 {
			break
		}
		late := time.Until(deadline(ctx)) < pause
		if ctx.Err() != nil || late || lasting(err) {
			return "", fmt.Errorf("send e-mail to %d of %d recipients: %s%s%s", len(left), len(c.opts.To), c.clean(err), given(tries), others(refused))
		}
		say("%s; next try in %v", c.words(err), pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
	if len(refused) > 0 {
		return "", fmt.Errorf("send e-mail to %d of %d recipients%s", len(refused), len(c.opts.To), others(refused))
	}
	return fmt.Sprintf("%d e-mails", len(c.opts.To)), nil
}

// Preview implements notify.Channel.
func (c *Channel) Preview(m notify.Message) (string, error) {
	letter, err := c.letter(m, strings.Join(c.opts.To, ", "))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	_, err = letter.WriteTo(&b)
	return strings.ReplaceAll(b.String(), "\r\n", "\n"), err
}

// try sends to all recipients over one connection: again are those to whom a later try may succeed, with the reason why
// this did not, failed are those who are refused for good, each with the reason.
func (c *Channel) try(ctx context.Context, m notify.Message, to []string) (again, failed []string, err error) {
	letters := make([]*gomail.Msg, len(to))
	for i, recipient := range to {
		if letters[i], err = c.letter(m, recipient); err != nil {
			return nil, []string{c.clean(err)}, nil
		}
	}
	client, err := c.client(ctx)
	if err != nil {
		return to, nil, err
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return to, nil, err
	}
	defer func() { _ = client.CloseWithSMTPClient(connection) }() // what was accepted is accepted
	for i, letter := range letters {
		one := client.SendWithSMTPClient(connection, letter)
		switch {
		case one == nil:
		case permanent(one):
			failed = append(failed, fmt.Sprintf("%s: %s", to[i], c.clean(one)))
		default:
			again, err = append(again, to[i]), one
		}
	}
	return again, failed, err
}

// client is set up so that nothing at all is said in clear but the greeting, and everything ends with the context.
func (c *Channel) client(ctx context.Context) (*gomail.Client, error) {
	s := c.opts.Server
	settings := &tls.Config{ServerName: s.Host, RootCAs: c.opts.Roots, MinVersion: tls.VersionTLS12}
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(max(time.Until(deadline(ctx)), time.Millisecond)),
		gomail.WithTLSConfig(settings), gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(_ context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address, s.Implicit, settings)
		}),
	}
	if s.Implicit {
		options = append(options, gomail.WithSSL())
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{server: s}))
	}
	return gomail.NewClient(s.Host, options...)
}

// dial connects, and has the connection end with the context: the library heeds it as long as it dials only.
func dial(ctx context.Context, network, address string, encrypted bool, settings *tls.Config) (net.Conn, error) {
	plainConn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = plainConn.Close() })
	if !encrypted {
		return plainConn, nil
	}
	conn := tls.Client(plainConn, settings)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plainConn.Close())
	}
	return conn, nil
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline() // there always is one
	return at
}

// permanent reports what the server says no to. An error without a code, such as a connection that ends, is none.
func permanent(err error) bool {
	return answered(err) >= 500
}

func given(tries int) string {
	if tries == 1 {
		return ""
	}
	return fmt.Sprintf(" (given up after %d tries)", tries)
}

func others(refused []string) string {
	if len(refused) == 0 {
		return ""
	}
	return "; refused: " + strings.Join(refused, "; ")
}

// clean is an error with what to do about it.
func (c *Channel) clean(err error) string { return c.words(err) + remedy(err) }

// words are an error on one line, without secrets, and without what the library adds: names of this machine.
func (c *Channel) words(err error) string {
	text := regexp.MustCompile(`, affected (message ID|recipient\(s\)): <[^>]*>`).ReplaceAllString(plain.Line(err.Error()), "")
	quote := c.mask.Cut(text, longestQuote)
	if len(text) > longestQuote {
		quote += "…"
	}
	return strings.TrimSpace(quote)
}
