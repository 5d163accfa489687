package mail

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/notify/mail/mailtest"
)

// A postOffice is a real SMTP server, as a channel is told of it.
type postOffice struct {
	*mailtest.Office

	server Server
	roots  *x509.CertPool
}

func open(t *testing.T, o mailtest.Options) *postOffice {
	t.Helper()
	p := mailtest.Open(t, o)
	return &postOffice{p, Server{Host: p.Host, Port: p.Port, Implicit: o.Implicit, User: p.User, Password: p.Password}, p.Roots}
}

func (p *postOffice) channel(to ...string) *Channel {
	return New(Options{Server: p.server, From: "Pipeline <ci@example.org>", To: to, Roots: p.roots, Pause: 50e6})
}

// to are the recipients, in the order in which they got a letter.
func (p *postOffice) to() string {
	var to []string
	for _, l := range p.Letters() {
		to = append(to, l.To)
	}
	return strings.Join(to, " ")
}
