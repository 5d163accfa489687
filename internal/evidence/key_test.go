package evidence

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

func pair(t *testing.T) (private, public string, identity PublicKey) {
	t.Helper()
	dir := t.TempDir()
	private, public = filepath.Join(dir, "evidence.key"), filepath.Join(dir, "evidence.pub")
	identity, err := Generate(private, public)
	if err != nil {
		t.Fatal(err)
	}
	return private, public, identity
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestGeneratedPairIsRead(t *testing.T) {
	private, public, identity := pair(t)
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key's mode is %v: %v", info.Mode(), err)
	}
	content, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"file": "file:" + private, "value": string(content)} {
		key, err := LoadPrivateKey(environment(map[string]string{KeyVariable: value}))
		if err != nil || key.ID != identity.ID {
			t.Errorf("%s: key %s, %v; want %s", name, key.ID, err, identity.ID)
		}
		for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key)} {
			if shown != identity.ID {
				t.Errorf("it prints as %s", shown)
			}
		}
	}
	keys, err := LoadPublicKeys(environment(map[string]string{PublicKeyVariable: "file:" + public}))
	if err != nil || len(keys) != 1 || keys[0].ID != identity.ID {
		t.Errorf("public keys %v, %v", keys, err)
	}
	keys, err = LoadPublicKeys(environment(map[string]string{KeyVariable: "file:" + private}))
	if err != nil || len(keys) != 1 || keys[0].ID != identity.ID {
		t.Errorf("without a public key, the private one's half: %v, %v", keys, err)
	}
}

func TestGenerateOverwritesNothing(t *testing.T) {
	private, public, _ := pair(t)
	before, _ := os.ReadFile(private)
	if _, err := Generate(private, filepath.Join(t.TempDir(), "x.pub")); err == nil || !strings.Contains(err.Error(), "was left as it is") {
		t.Errorf("error = %v", err)
	}
	after, _ := os.ReadFile(private)
	if string(before) != string(after) {
		t.Error("the private key was overwritten")
	}
	// The other half must not be left alone where only one could be written.
	lone := filepath.Join(t.TempDir(), "lone.key")
	if _, err := Generate(lone, public); err == nil {
		t.Error("the public key was overwritten")
	}
	if _, err := os.Stat(lone); err == nil {
		t.Error("a private key without its other half is left")
	}
}

// cosign keeps keys encrypted in a form of its own, and its users have them already.
func TestEncryptedKeyOfCosign(t *testing.T) {
	private, _, identity := pair(t)
	content, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	sealed, err := encrypted.Encrypt(block.Bytes, []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	value := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}))
	key, err := LoadPrivateKey(environment(map[string]string{KeyVariable: value, PasswordVariable: "open sesame"}))
	if err != nil || key.ID != identity.ID {
		t.Errorf("key %s, %v", key.ID, err)
	}
	if _, err := LoadPrivateKey(environment(map[string]string{KeyVariable: value, PasswordVariable: "wrong"})); err == nil || !strings.Contains(err.Error(), PasswordVariable) {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	private, public, _ := pair(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open.key")
	content, _ := os.ReadFile(private)
	if err := os.WriteFile(open, content, 0o644); err != nil {
		t.Fatal(err)
	}
	half, _ := os.ReadFile(public)
	canary := "c2VjcmV0LWNhbmFyeQ"
	for _, tc := range []struct{ name, value, want string }{
		{"unset", "", "no key is set"},
		{"blank", "  \n", "no key is set"},
		{"readable by others", "file:" + open, "others may read it (mode 0644): chmod 600 it"},
		{"no such file", "file:/nonexistent/key", "no such file"},
		{"the public half", string(half), "it is a PEM block \"PUBLIC KEY\""},
		{"no PEM", canary, "it is no PEM"},
		{"broken", "-----BEGIN PRIVATE KEY-----\n" + canary + "AAAAAA\n-----END PRIVATE KEY-----", "no PKCS #8 key"},
		{"another curve", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "no ECDSA key on the curve P-256"},
		{"two keys", string(content) + string(content), "something follows the key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := LoadPrivateKey(environment(map[string]string{KeyVariable: tc.value}))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error = %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error quotes the key: %v", err)
			}
			if errors.Is(err, ErrNoKey) != (strings.TrimSpace(tc.value) == "") {
				t.Errorf("it is taken for a missing key: %v", err)
			}
		})
	}
	if _, err := LoadPublicKeys(environment(map[string]string{PublicKeyVariable: string(content)})); err == nil || !strings.Contains(err.Error(), "not a PUBLIC KEY") {
		t.Errorf("a private key where a public one belongs: %v", err)
	}
	if _, err := LoadPublicKeys(environment(nil)); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key at all: %v", err)
	}
}

func TestSeveralPublicKeys(t *testing.T) {
	_, first, one := pair(t)
	_, second, two := pair(t)
	a, _ := os.ReadFile(first)
	b, _ := os.ReadFile(second)
	keys, err := LoadPublicKeys(environment(map[string]string{PublicKeyVariable: string(a) + string(b)}))
	if err != nil || len(keys) != 2 || keys[0].ID != one.ID || keys[1].ID != two.ID {
		t.Errorf("keys %v, %v", keys, err)
	}
	if _, err := LoadPublicKeys(environment(map[string]string{PublicKeyVariable: string(a) + "junk"})); err == nil {
		t.Error("junk beside the key is taken")
	}
}
