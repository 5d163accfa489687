package github

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/notify/github/githubtest"
)

type api struct{ *githubtest.API }

func newAPI(t *testing.T) api {
	t.Helper()
	return api{githubtest.New(t, "meter-ml/meter-pipeline")}
}

func (a api) channel(t *testing.T, address string, roots *x509.CertPool) *Channel {
	t.Helper()
	c, err := New(Options{
		API: address, Repository: "meter-ml/meter-pipeline", Token: a.Token, Roots: roots, Pause: 50 * time.Millisecond, Try: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
