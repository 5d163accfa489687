package mail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Variables that name the server. The first says it all and comes first; it is a secret, and so is the last.
const (
	URLVariable      = "SMTP_URL" // smtp://user:password@host:587 with STARTTLS, smtps://user:password@host:465
	HostVariable     = "SMTP_HOST"
	UserVariable     = "SMTP_USERNAME"
	PasswordVariable = "SMTP_PASSWORD"
)

const (
	submission  = 587
	submissions = 465 // encrypted from the first byte
)

// What the library, and this package, say of a server that lacks what is needed; the library has no errors for it.
const (
	noTLS    = "does not support STARTTLS"
	noLogin  = "smtp: server doesn't support AUTH"
	noMethod = "the server takes neither PLAIN nor LOGIN"
	noProof  = "SMTP AUTH failed"
)

// A Server is who takes letters.
type Server struct {
	Host     string
	Port     int
	Implicit bool   // TLS from the first byte, instead of STARTTLS
	User     string // empty: it asks nobody for a name
	Password string

	url string
}

// ErrNoServer is returned where no variable names a server.
var ErrNoServer = errors.New("neither " + URLVariable + " nor " + HostVariable + " is set")

// ServerFrom reads the variables. No error quotes them.
func ServerFrom(get func(string) string) (Server, error) {
	if address := strings.TrimSpace(get(URLVariable)); address != "" {
		return fromURL(address)
	}
	host := strings.TrimSpace(get(HostVariable))
	if host == "" {
		return Server{}, ErrNoServer
	}
	s := Server{Host: host, Port: submission, User: get(UserVariable), Password: get(PasswordVariable)}
	if name, port, err := net.SplitHostPort(host); err == nil {
		if s.Host, s.Port = name, number(port); s.Port == 0 {
			return Server{}, fmt.Errorf("the port in %s is no number from 1 to 65535: write host:587", HostVariable)
		}
	}
	s.Implicit = s.Port == submissions
	return s.checked(HostVariable)
}

func fromURL(address string) (Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return Server{}, errors.New(URLVariable + " is not smtp://user:password@host:587 or smtps://user:password@host:465: write special characters of the password as %XX")
	}
	s := Server{Host: u.Hostname(), Port: submission, Implicit: u.Scheme == "smtps", User: u.User.Username(), url: address}
	s.Password, _ = u.User.Password()
	if s.Implicit {
		s.Port = submissions
	}
	if u.Port() != "" {
		s.Port = number(u.Port())
	}
	return s.checked(URLVariable)
}

func (s Server) checked(variable string) (Server, error) {
	switch {
	case s.Port == 0 || strings.ContainsAny(s.Host, " \r\n\t/@"):
		return Server{}, fmt.Errorf("%s names no host and port: write host:587", variable)
	case s.User == "" && s.Password != "", s.User != "" && s.Password == "":
		return Server{}, fmt.Errorf("%s gives a user or a password alone: give both, or neither to a server that asks for none", variable)
	}
	return s, nil
}

func number(port string) int {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// login proves who writes, in a way that the server offers, and never in clear.
type login struct {
	server Server
	chosen smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("the connection is not encrypted, and no password is sent in clear")
	}
	s := l.server
	switch {
	case slices.Contains(server.Auth, "PLAIN"):
		l.chosen = smtp.PlainAuth("", s.User, s.Password, s.Host, false)
	case slices.Contains(server.Auth, "LOGIN"):
		l.chosen = smtp.LoginAuth(s.User, s.Password, s.Host, false)
	default:
		return "", nil, fmt.Errorf("%s, but %q", noMethod, strings.Join(server.Auth, " "))
	}
	return l.chosen.Start(server)
}

// Next implements smtp.Auth.
func (l *login) Next(fromServer []byte, more bool) ([]byte, error) {
	return l.chosen.Next(fromServer, more)
}

// lasting reports what no second try mends.
func lasting(err error) bool {
	if code := answered(err); code >= 500 {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return true
	}
	// A password that is tried again and again locks the account.
	return slices.ContainsFunc([]string{noTLS, noLogin, noMethod, noProof}, func(words string) bool { return strings.Contains(err.Error(), words) })
}

// answered is the code of a server's answer, 0 if there was none.
func answered(err error) int {
	if sent, ok := errors.AsType[*gomail.SendError](err); ok {
		return sent.ErrorCode()
	}
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Code
	}
	return 0
}

// remedy is what a person does about an error, after a colon; empty if there is nothing to add.
func remedy(err error) string {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch code := answered(err); {
	case untrusted:
		return ": nobody that this machine trusts vouches for the server"
	case strings.Contains(err.Error(), noMethod):
		return ""
	case strings.Contains(err.Error(), noProof), code == 530:
		return ": set " + UserVariable + " and " + PasswordVariable + ", or " + URLVariable + ", to who may send"
	case strings.Contains(err.Error(), noTLS):
		return ": nothing is sent in clear; a server that is encrypted from the first byte is smtps:// in " + URLVariable
	case code >= 400 && code < 500:
		return ": the server asks to come later, and this does not wait so long"
	}
	return ""
}
