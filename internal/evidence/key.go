package evidence

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Variables of the environment that hold keys: the PEM itself, or "file:" and a path.
const (
	KeyVariable       = "EVIDENCE_KEY"
	PublicKeyVariable = "EVIDENCE_PUBLIC_KEY"
	PasswordVariable  = "EVIDENCE_PASSWORD" // of a private key that cosign encrypted
)

// A PrivateKey signs evidence. It prints as its identity alone.
type PrivateKey struct {
	key *ecdsa.PrivateKey
	PublicKey
}

// A PublicKey is one that is trusted.
type PublicKey struct {
	// ID is the key's fingerprint as SSH prints it, SHA256:…, which DSSE's library expects: cosign passes over a signature
	// that names its key in any other way.
	ID  string
	key *ecdsa.PublicKey
}

// String is the identity, also where somebody prints the private key.
func (k PublicKey) String() string { return k.ID }

// GoString keeps %#v from showing more.
func (k PrivateKey) GoString() string { return k.ID }

// ErrNoKey is for an environment without a key: no evidence is made there, and none is verified.
var ErrNoKey = errors.New("no key is set")

// LoadPrivateKey reads the key that the environment names.
func LoadPrivateKey(get func(string) string) (PrivateKey, error) {
	content, err := keyText(get, KeyVariable, true)
	if err != nil {
		return PrivateKey{}, err
	}
	key, err := parsePrivateKey(content, get(PasswordVariable))
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read %s: %w: `mage evidence:keygen` makes one", KeyVariable, err)
	}
	return key, nil
}

// LoadPublicKeys reads the keys that are trusted, of which there may be several, one PEM block each: a key is changed by
// trusting both for a while. Without that variable the private key's other half is trusted.
func LoadPublicKeys(get func(string) string) ([]PublicKey, error) {
	content, err := keyText(get, PublicKeyVariable, false)
	if errors.Is(err, ErrNoKey) {
		key, privateErr := LoadPrivateKey(get)
		if errors.Is(privateErr, ErrNoKey) {
			return nil, err
		}
		return []PublicKey{key.PublicKey}, privateErr
	}
	if err != nil {
		return nil, err
	}
	keys, err := parsePublicKeys(content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: give the file that `mage evidence:keygen` wrote, or cosign.pub", PublicKeyVariable, err)
	}
	return keys, nil
}

// keyText is a variable's value, or the content of the file that it names. A private key that others may read is none.
func keyText(get func(string) string, variable string, private bool) ([]byte, error) {
	value := strings.TrimSpace(get(variable))
	path, isFile := strings.CutPrefix(value, "file:")
	switch {
	case value == "":
		return nil, fmt.Errorf("read %s: %w: set it to a PEM key or to file:<path>; `mage evidence:keygen` makes a pair", variable, ErrNoKey)
	case !isFile:
		return []byte(value), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the file of %s: %s", variable, strict.Reason(err))
	}
	if private && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read the file of %s: others may read it (mode %04o): chmod 600 it, and make a new key if somebody did", variable, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the file of %s: %s", variable, strict.Reason(err))
	}
	return content, nil
}

// parsePrivateKey takes PKCS #8, and the form in which cosign encrypts it. No error quotes what it read.
func parsePrivateKey(content []byte, password string) (PrivateKey, error) {
	block, rest := pem.Decode(content)
	if block == nil {
		return PrivateKey{}, errors.New("it is no PEM")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return PrivateKey{}, errors.New("something follows the key")
	}
	der := block.Bytes
	switch block.Type {
	case "PRIVATE KEY":
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		plain, err := encrypted.Decrypt(der, []byte(password))
		if err != nil {
			return PrivateKey{}, fmt.Errorf("%s does not open it", PasswordVariable)
		}
		der = plain
	default:
		return PrivateKey{}, fmt.Errorf("it is a PEM block %q, not a PRIVATE KEY (PKCS #8)", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return PrivateKey{}, errors.New("it is no PKCS #8 key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return PrivateKey{}, errors.New("it is no ECDSA key on the curve P-256")
	}
	public, err := publicKey(&key.PublicKey)
	return PrivateKey{key: key, PublicKey: public}, err
}

func parsePublicKeys(content []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if strings.TrimSpace(string(rest)) != "" {
				return nil, errors.New("it is no PEM, or something stands beside the keys")
			}
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("it has a PEM block %q, not a PUBLIC KEY", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("it holds no public key")
		}
		key, ok := parsed.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() {
			return nil, errors.New("it is no ECDSA key on the curve P-256")
		}
		public, err := publicKey(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

func publicKey(key *ecdsa.PublicKey) (PublicKey, error) {
	id, err := dsse.SHA256KeyID(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("name key: %w", err)
	}
	return PublicKey{ID: id, key: key}, nil
}

// Generate makes a key pair in two new files, the private one for its owner alone. Neither is ever overwritten: what was
// signed with a key that is gone can't be signed again.
func Generate(private, public string) (PublicKey, error) {
	secret, open, err := Pair()
	if err != nil {
		return PublicKey{}, err
	}
	keys, err := parsePublicKeys(open)
	if err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(private, secret, 0o600); err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(public, open, 0o644); err != nil {
		return PublicKey{}, errors.Join(err, os.Remove(private))
	}
	return keys[0], nil
}

// Pair makes a key pair that is kept nowhere, as the variables take it: for what is to be worth nothing later.
func Pair() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	info, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: info}), nil
}

func writeNew(path string, content []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write key: %s is there already, and was left as it is: name another file", path)
	}
	if err == nil {
		_, err = file.Write(content)
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}
