package github

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/courier"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/notify/github/githubtest"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
)

type api struct{ *githubtest.API }

func newAPI(t *testing.T) api {
	t.Helper()
	return api{githubtest.Start(t, notifytest.Commit)}
}

// channel leads to any address: a server may stand before the fake.
func (api) channel(t *testing.T, address string, roots *x509.CertPool) *Channel {
	t.Helper()
	client, err := forge.New(forge.Options{
		API: address, Repository: forgetest.Repository, Token: forgetest.Token,
		Sending: courier.Options{Roots: roots, Pause: 50 * time.Millisecond, Try: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(client)
}
