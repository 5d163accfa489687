// Package mailtest is a real SMTP server for tests, which takes letters over TLS only. It is imported by tests only.
package mailtest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// An Office is a real SMTP server on loopback, which takes letters of one who proves who he is, over TLS.
type Office struct {
	Host           string
	Port           int
	User, Password string // who may write; empty where it asks nobody
	Roots          *x509.CertPool
	Certificate    *x509.Certificate              // of 127.0.0.1
	Rcpt           func(to string, try int) error // nil takes everybody
	Data           func(try int) error

	t       testing.TB
	proof   string
	mu      sync.Mutex
	letters []Letter
	logins  int
	tries   map[string]int
}

// A Letter arrived.
type Letter struct{ From, To, Body string }

// Options say how it differs from one that wants STARTTLS and a password.
type Options struct {
	Implicit bool // TLS from the first byte
	NoTLS    bool
	NoAuth   bool
}

// Open serves until the test ends.
func Open(t testing.TB, o Options) *Office {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is of 127.0.0.1
	certified.Close()
	p := &Office{t: t, Host: "127.0.0.1", Roots: x509.NewCertPool(), Certificate: certified.Certificate(), tries: map[string]int{}}
	p.Roots.AddCert(p.Certificate)
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	p.proof = hex.EncodeToString(b) + ":/@%"
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s := &session{office: p, conn: c, need: !o.NoAuth}
		if o.NoAuth {
			return struct{ smtp.Session }{s}, nil
		}
		return s, nil
	}))
	server.Domain = "mail.example.org"
	server.ErrorLog = quiet{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Port = listener.Addr().(*net.TCPAddr).Port
	switch {
	case o.Implicit:
		listener = tls.NewListener(listener, certified.TLS)
	case !o.NoTLS:
		server.TLSConfig = certified.TLS
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	if !o.NoAuth {
		p.User, p.Password = "pipeline", p.proof
	}
	return p
}

type quiet struct{}

// Printf implements smtp.Logger.
func (quiet) Printf(string, ...any) {}

// Println implements smtp.Logger.
func (quiet) Println(...any) {}

type session struct {
	office   *Office
	conn     *smtp.Conn
	need     bool
	proven   bool
	from, to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	if _, encrypted := s.conn.TLSConnectionState(); !encrypted {
		s.office.t.Error("a password came in clear")
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "pipeline" || password != s.office.proof {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "invalid credentials " + user}
		}
		s.office.mu.Lock()
		s.office.logins++
		s.office.mu.Unlock()
		s.proven = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if _, encrypted := s.conn.TLSConnectionState(); !encrypted {
		s.office.t.Error("an address came in clear")
	}
	if s.need && !s.proven {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.tries[to]++
	s.to = to
	if s.office.Rcpt != nil {
		return s.office.Rcpt(to, s.office.tries[to])
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	if s.office.Data != nil {
		if err := s.office.Data(s.office.tries[s.to]); err != nil {
			if errors.Is(err, ErrDrop) {
				_ = s.conn.Conn().Close()
			}
			return err
		}
	}
	s.office.letters = append(s.office.letters, Letter{s.from, s.to, string(body)})
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// ErrDrop drops the connection.
var ErrDrop = errors.New("drop the connection")

// Letters are those that arrived, in their order.
func (p *Office) Letters() []Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters)
}

// Clear takes the letters away.
func (p *Office) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letters = nil
}

// Logins is how often somebody has proven who he is.
func (p *Office) Logins() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

// Proof is the password that it takes, also where it asks nobody.
func (p *Office) Proof() string { return p.proof }
