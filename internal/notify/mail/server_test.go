package mail

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
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A postOffice is a real SMTP server, which takes letters of one who proves who he is, over TLS.
type postOffice struct {
	t        *testing.T
	server   Server
	roots    *x509.CertPool
	password string

	mu      sync.Mutex
	letters []letterbox
	logins  int
	rcpt    func(to string, try int) error // nil takes everybody
	data    func(try int) error
	tries   map[string]int
}

type letterbox struct {
	from, to string
	body     string
}

type office struct {
	implicit bool // TLS from the first byte
	noTLS    bool
	noAuth   bool
}

func open(t *testing.T, o office) *postOffice {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is of 127.0.0.1
	certified.Close()
	p := &postOffice{t: t, roots: x509.NewCertPool(), tries: map[string]int{}}
	p.roots.AddCert(certified.Certificate())
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	p.password = hex.EncodeToString(b) + ":/@%"
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s := &session{office: p, conn: c, need: !o.noAuth}
		if o.noAuth {
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
	port := listener.Addr().(*net.TCPAddr).Port
	switch {
	case o.implicit:
		listener = tls.NewListener(listener, certified.TLS)
	case !o.noTLS:
		server.TLSConfig = certified.TLS
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	p.server = Server{Host: "127.0.0.1", Port: port, Implicit: o.implicit}
	if !o.noAuth {
		p.server.User, p.server.Password = "pipeline", p.password
	}
	return p
}

type quiet struct{}

// Printf implements smtp.Logger.
func (quiet) Printf(string, ...any) {}

// Println implements smtp.Logger.
func (quiet) Println(...any) {}

type session struct {
	office   *postOffice
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
		if user != "pipeline" || password != s.office.password {
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
	if s.office.rcpt != nil {
		return s.office.rcpt(to, s.office.tries[to])
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
	if s.office.data != nil {
		if err := s.office.data(s.office.tries[s.to]); err != nil {
			if errors.Is(err, errDrop) {
				_ = s.conn.Conn().Close()
			}
			return err
		}
	}
	s.office.letters = append(s.office.letters, letterbox{s.from, s.to, string(body)})
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

var errDrop = errors.New("drop the connection")

func (p *postOffice) channel(to ...string) *Channel {
	return New(Options{Server: p.server, From: "Pipeline <ci@example.org>", To: to, Roots: p.roots, Pause: 50e6})
}

// to are the recipients, in the order in which they got a letter.
func (p *postOffice) to() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var to []string
	for _, l := range p.letters {
		to = append(to, l.to)
	}
	return strings.Join(to, " ")
}
