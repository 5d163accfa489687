package security_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveAdvisories stands in for safety's servers, whatever their names are: a proxy that leads every connection to one
// server here, whose certificate is for all of them. One that breaks down answers the first request only, which is the
// probe's.
func serveAdvisories(breaksDown bool) func(*testing.T) []string {
	return func(t *testing.T) []string {
		certificate, authority := certify(t, "pyup.io", "data.safetycli.com", "platform.safetycli.com", "auth.safetycli.com")
		var served atomic.Int64
		names, full := database(recent)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			content := map[string]string{"insecure.json": names, "insecure_full.json": full}[filepath.Base(r.URL.Path)]
			switch {
			case breaksDown && served.Add(1) > 1:
				http.Error(w, "down", http.StatusServiceUnavailable)
			case content == "":
				http.NotFound(w, r)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, content)
			}
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.StartTLS()
		t.Cleanup(server.Close)
		proxy := "http://" + serveProxy(t, server.Listener.Addr().String())
		return []string{"HTTPS_PROXY=" + proxy, "https_proxy=" + proxy, "NO_PROXY=", "no_proxy=", "REQUESTS_CA_BUNDLE=" + authority, "SSL_CERT_FILE=" + authority}
	}
}

// serveProxy leads every CONNECT to one address.
func serveProxy(t *testing.T, target string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if r.Method != http.MethodConnect || !ok {
			http.Error(w, "connect only", http.StatusMethodNotAllowed)
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		client, _, err := hijacker.Hijack()
		if err != nil {
			_ = server.Close()
			return
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = errors.Join(server.Close(), client.Close())
		}()
		_, _ = io.Copy(client, server)
		_ = errors.Join(server.Close(), client.Close())
	}))
	t.Cleanup(proxy.Close)
	return strings.TrimPrefix(proxy.URL, "http://")
}

// certify makes a certificate for the hosts, and writes the authority that vouches for it.
func certify(t *testing.T, hosts ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}
