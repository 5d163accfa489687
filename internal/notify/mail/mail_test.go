package mail

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/meter-ml/meter-pipeline/internal/notify/mail/mailtest"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

// parsed is a letter as who gets it sees it.
type parsed struct {
	header     netmail.Header
	subject    string
	text, html string
}

func parse(t *testing.T, raw string) parsed {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v: %q", err, raw)
	}
	p := parsed{header: m.Header}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s: %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			break
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			p.html = strings.ReplaceAll(string(body), "\r\n", "\n")
		} else {
			p.text = strings.ReplaceAll(string(body), "\r\n", "\n")
		}
	}
	return p
}

func TestLettersArrive(t *testing.T) {
	for name, o := range map[string]mailtest.Options{"STARTTLS": {}, "TLS": {Implicit: true}, "without a password": {NoAuth: true}} {
		t.Run(name, func(t *testing.T) {
			p := open(t, o)
			sent, err := p.channel("ada@example.org", "Team <team@example.org>").Send(t.Context(), notifytest.Messages()["failure"], t.Logf)
			if err != nil || sent != "2 e-mails" || p.to() != "ada@example.org team@example.org" {
				t.Fatalf("%q, %v; to %s", sent, err, p.to())
			}
			if wanted := map[bool]int{false: 1, true: 0}[o.NoAuth]; p.Logins() != wanted {
				t.Errorf("%d logins", p.Logins())
			}
			letter := parse(t, p.Letters()[1].Body)
			if letter.subject != "[meter] ❌ CI/CD Pipeline Failed: develop" || letter.header.Get("To") != `"Team" <team@example.org>` ||
				p.Letters()[1].From != "ci@example.org" || letter.header.Get("Auto-Submitted") == "" && letter.header.Get("Precedence") != "bulk" {
				t.Errorf("%q %v", letter.subject, letter.header)
			}
			if strings.Contains(p.Letters()[1].Body, "ada@example.org") {
				t.Error("one recipient sees the other")
			}
		})
	}
}

func TestTexts(t *testing.T) {
	for name, m := range notifytest.Messages() {
		t.Run(name, func(t *testing.T) {
			html, err := render(m)
			if err != nil {
				t.Fatal(err)
			}
			if len(html) > 60_000 {
				t.Errorf("%d bytes: mail programs cut what is longer than 100 KB", len(html))
			}
			if name != "many" {
				reporttest.Golden(t, *update, name+".golden.txt", subject(m)+"\n\n"+body(m))
				reporttest.Golden(t, *update, name+".golden.html", html)
			}
		})
	}
}

// failing is a server that fails, and what becomes of a letter to ada and bob.
type failing struct {
	name  string
	rcpt  func(to string, try int) error
	data  func(try int) error
	got   string // who has a letter in the end
	want  string // of the error; empty if there is none
	limit time.Duration
}

func greylisted(_ string, try int) error {
	if try == 1 {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted, come later"}
	}
	return nil
}

func failures() []failing {
	return []failing{
		{name: "greylisted, then fine", rcpt: greylisted, got: "ada@example.org bob@example.org"},
		{name: "greylisted for longer", want: "the server asks to come later", limit: 3 * time.Second, rcpt: func(string, int) error {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted, come later"}
		}},
		{name: "one recipient refused", got: "bob@example.org", want: "send e-mail to 1 of 2 recipients; refused: ada@example.org", rcpt: func(to string, _ int) error {
			if to == "ada@example.org" {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
			}
			return nil
		}},
		{name: "content refused", want: "send e-mail to 2 of 2 recipients; refused", data: func(int) error {
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "this is spam"}
		}},
		{name: "dropped connection, then fine", got: "ada@example.org bob@example.org", data: func(try int) error {
			if try == 1 {
				return mailtest.ErrDrop
			}
			return nil
		}},
	}
}

func TestServersThatFail(t *testing.T) {
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			p := open(t, mailtest.Options{})
			p.Rcpt, p.Data = f.rcpt, f.data
			limit := 5 * time.Second
			if f.limit > 0 {
				limit = f.limit
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := p.channel("ada@example.org", "bob@example.org").Send(ctx, notifytest.Messages()["success"], t.Logf)
			if f.want == "" && err != nil || f.want != "" && (err == nil || !strings.Contains(err.Error(), f.want)) {
				t.Errorf("error %v, want %q", err, f.want)
			}
			if p.to() != f.got {
				t.Errorf("letters to %q, want %q", p.to(), f.got)
			}
			if err != nil && strings.Contains(err.Error(), p.Proof()) {
				t.Errorf("the password is shown: %v", err)
			}
			t.Log(err)
		})
	}
}

// Where it can't be encrypted, or not to whom it is for, nothing is said at all.
func TestNothingIsSentInClear(t *testing.T) {
	plain := open(t, mailtest.Options{NoTLS: true})
	untrusted := open(t, mailtest.Options{})
	untrusted.roots = x509.NewCertPool()
	hidden := open(t, mailtest.Options{Implicit: true})
	hidden.roots = x509.NewCertPool()
	wrong := open(t, mailtest.Options{})
	wrong.server.Password = "not the " + "password"
	noAuth := open(t, mailtest.Options{NoAuth: true})
	noAuth.server.User, noAuth.server.Password = "pipeline", noAuth.Proof()
	for name, tt := range map[string]struct {
		office *postOffice
		want   string
	}{
		"no TLS offered":              {plain, "nothing is sent in clear"},
		"certificate nobody trusts":   {untrusted, "nobody that this machine trusts vouches"},
		"the same, from the 1st byte": {hidden, "nobody that this machine trusts vouches"},
		"wrong password":              {wrong, "set SMTP_USERNAME and SMTP_PASSWORD"},
		"password not wanted":         {noAuth, "AUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.office.channel("ada@example.org").Send(t.Context(), notifytest.Messages()["success"], func(format string, args ...any) {
				t.Errorf("it is tried again: "+format, args...)
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.office.Proof()) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if tt.office.to() != "" {
				t.Errorf("letters to %q", tt.office.to())
			}
			t.Log(err)
		})
	}
}

// A server that says nothing is left when the time is over, whatever the library waits for.
func TestSilentServer(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
		}
	}()
	for _, implicit := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		begun := time.Now()
		c := New(Options{Server: Server{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Implicit: implicit}, From: "a@example.org", To: []string{"b@example.org"}})
		_, err = c.Send(ctx, notifytest.Messages()["success"], t.Logf)
		cancel()
		if err == nil || time.Since(begun) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	}
}

func TestServerFrom(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string // host:port implicit user, or a part of the error
	}{
		{"none", nil, "neither SMTP_URL nor SMTP_HOST is set"},
		{"URL", map[string]string{URLVariable: "smtp://ci:p%40ss-word@mail.example.org"}, "mail.example.org:587 false ci p@ss-word"},
		{"URL, encrypted", map[string]string{URLVariable: "smtps://ci:p@mail.example.org/"}, "mail.example.org:465 true ci p"},
		{"URL, port", map[string]string{URLVariable: "smtps://mail.example.org:2465"}, "mail.example.org:2465 true  "},
		{"URL comes first", map[string]string{URLVariable: "smtp://a", HostVariable: "b"}, "a:587 false  "},
		{"host", map[string]string{HostVariable: "mail.example.org", UserVariable: "ci", PasswordVariable: "p"}, "mail.example.org:587 false ci p"},
		{"host and port", map[string]string{HostVariable: "mail.example.org:465"}, "mail.example.org:465 true  "},
		{"another scheme", map[string]string{URLVariable: "https://ci:p@ss-word@mail"}, "SMTP_URL is not smtp://"},
		{"no URL", map[string]string{URLVariable: "smtp://ci:p#ss-word@mail"}, "SMTP_URL is not smtp://"},
		{"bad port", map[string]string{HostVariable: "mail:ss-word"}, "no number from 1 to 65535"},
		{"big port", map[string]string{HostVariable: "mail:70000"}, "no number from 1 to 65535"},
		{"user alone", map[string]string{HostVariable: "mail", UserVariable: "ss-word"}, "give both"},
		{"password alone", map[string]string{HostVariable: "mail", PasswordVariable: "ss-word"}, "give both"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := ServerFrom(func(name string) string { return tt.env[name] })
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "ss-word") {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if got := fmt.Sprintf("%s:%d %v %s %s", s.Host, s.Port, s.Implicit, s.User, s.Password); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
