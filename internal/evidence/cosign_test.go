package evidence

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// cosign builds the verifier that others would use, once for a machine: three minutes on two cores, then a look.
func cosign(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "meter-pipeline", "cosign", "cosign")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/sigstore/cosign/v3/cmd/cosign")
	cmd.Dir = filepath.Join(stagetest.Repository(t), "tools", "cosign")
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("build cosign: %v\n%s", err, out)
		}
		t.Skipf("cosign can't be built here: %v\n%s", err, out)
	}
	return binary
}

// A reader is somebody who has cosign and a public key, and nothing of this project.
type reader struct {
	program, public string
}

func newReader(t *testing.T, program string, key PublicKey) reader {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "evidence.pub")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return reader{program, path}
}

// run is the command of docs/evidence.md.
func (r reader) run(t *testing.T, command, predicate string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{command, "--key", r.public, "--insecure-ignore-tlog", "--type", predicate}, args...)
	cmd := exec.CommandContext(t.Context(), r.program, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCosignAcceptsIt(t *testing.T) {
	key := newKey(t)
	s := newShelf(t)
	s.fill(key, nil)
	ours, reference := newReader(t, cosign(t), key.PublicKey), s.repository+"@"+s.digest
	for _, predicate := range []string{TestResultType, ProvenanceType, SBOMType} {
		t.Run(predicate, func(t *testing.T) {
			out, err := ours.run(t, "verify-attestation", predicate, reference)
			if err != nil || !strings.Contains(out, "The signatures were verified against the specified public key") {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	for _, tc := range []struct {
		name      string
		reader    reader
		reference string
		predicate string
		want      string
	}{
		{"another key", newReader(t, ours.program, newKey(t).PublicKey), reference, ProvenanceType, "Found: 0, Expected 1"},
		{"another image", ours, s.repository + "@" + s.push(), ProvenanceType, "no matching attestations"},
		{"another predicate", ours, reference, "https://spdx.dev/Document", "none of the attestations matched the predicate type"},
		{"the tree's evidence for the image's", ours, reference, VulnsType, "none of the attestations matched the predicate type"},
	} {
		t.Run("refuses "+tc.name, func(t *testing.T) {
			out, err := tc.reader.run(t, "verify-attestation", tc.predicate, tc.reference)
			if err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	found, err := Fetch(t.Context(), s.client, s.repository, s.digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if statement := claimed(f.Content); statement.about(gitTree, tree) {
			ours.readsTree(t, f, statement.GetPredicateType())
		}
	}
}

// readsTree: what is about the source tree is for cosign a bundle with the tree's hash.
func (r reader) readsTree(t *testing.T, found Found, predicate string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.sigstore.json")
	if err := os.WriteFile(file, found.Content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := r.run(t, "verify-blob-attestation", predicate, "--bundle", file, "--digest", tree, "--digestAlg", gitTree)
	if err != nil || !strings.Contains(out, "Verified OK") {
		t.Errorf("%s: %v\n%s", found.Origin, err, out)
	}
	out, err = r.run(t, "verify-blob-attestation", predicate, "--bundle", file, "--digest", strings.Repeat("9", 40), "--digestAlg", gitTree)
	if err == nil || !strings.Contains(out, "does not match any digest in statement") {
		t.Errorf("another tree: %v\n%s", err, out)
	}
}
