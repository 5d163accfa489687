package evidence

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dssepb "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

// MaxBundle is the size in bytes above which nothing is read; the largest, a bill of materials of Airflow, has a few MB.
const MaxBundle = 32 << 20

// Seal signs a statement and returns the bundle, one line of JSON.
func Seal(key PrivateKey, s *Statement) ([]byte, error) {
	sum := sha256.Sum256(dsse.PAE(PayloadType, s.Payload))
	signature, err := ecdsa.SignASN1(rand.Reader, key.key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign statement %s: %w", s.Name, err)
	}
	content, err := compact(&bundlepb.Bundle{
		MediaType: BundleType,
		VerificationMaterial: &bundlepb.VerificationMaterial{
			Content: &bundlepb.VerificationMaterial_PublicKey{PublicKey: &commonpb.PublicKeyIdentifier{Hint: key.ID}},
		},
		Content: &bundlepb.Bundle_DsseEnvelope{DsseEnvelope: &dssepb.Envelope{
			Payload: s.Payload, PayloadType: PayloadType, Signatures: []*dssepb.Signature{{Sig: signature, Keyid: key.ID}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("sign statement %s: %w", s.Name, err)
	}
	return content, nil
}

// ErrForeign is for a bundle that is signed by a key that is not trusted, or not signed by a key at all.
var ErrForeign = errors.New("not signed by a trusted key")

// Signed is a statement whose signature is right.
type Signed struct {
	*Statement

	Signer string // identity of the key
}

// Open checks a bundle's signature over exactly the bytes that it then reads. Nothing outside of the signed bytes counts:
// not the file's name, not an annotation in the registry.
func Open(bundle []byte, keys []PublicKey) (Signed, error) {
	envelope, err := unwrap(bundle)
	if err != nil {
		return Signed{}, err
	}
	signature := envelope.GetSignatures()[0]
	at := slices.IndexFunc(keys, func(k PublicKey) bool { return k.ID == signature.GetKeyid() })
	if at < 0 {
		return Signed{}, fmt.Errorf("%w: it names the key %.19s…", ErrForeign, signature.GetKeyid())
	}
	sum := sha256.Sum256(dsse.PAE(envelope.GetPayloadType(), envelope.GetPayload()))
	if !ecdsa.VerifyASN1(keys[at].key, sum[:], signature.GetSig()) {
		return Signed{}, fmt.Errorf("its signature is not that of key %.19s… over what it holds", keys[at].ID)
	}
	s, err := parseStatement(envelope.GetPayload())
	if err != nil {
		return Signed{}, err
	}
	return Signed{Statement: s, Signer: keys[at].ID}, nil
}

// unwrap reads a bundle's form: one signature by a key that both its places name alike, over an in-toto statement.
func unwrap(content []byte) (*dssepb.Envelope, error) {
	if len(content) > MaxBundle {
		return nil, fmt.Errorf("it has %d bytes, more than a bundle of evidence", len(content))
	}
	var bundle bundlepb.Bundle
	if err := protojson.Unmarshal(content, &bundle); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	envelope := bundle.GetDsseEnvelope()
	switch {
	case bundle.GetMediaType() != BundleType:
		return nil, fmt.Errorf("its media type is %q, not %s", bundle.GetMediaType(), BundleType)
	case envelope == nil:
		return nil, errors.New("it holds no DSSE envelope")
	case envelope.GetPayloadType() != PayloadType:
		return nil, fmt.Errorf("its payload is %q, not %s", envelope.GetPayloadType(), PayloadType)
	case len(envelope.GetSignatures()) != 1:
		return nil, fmt.Errorf("it has %d signatures, where a bundle has one", len(envelope.GetSignatures()))
	case bundle.GetVerificationMaterial().GetPublicKey() == nil:
		return nil, fmt.Errorf("%w: it names none", ErrForeign)
	case bundle.GetVerificationMaterial().GetPublicKey().GetHint() != envelope.GetSignatures()[0].GetKeyid():
		return nil, errors.New("it names two different keys")
	}
	return envelope, nil
}

// claimed is what a bundle says that it is, for people: nobody has checked it.
func claimed(bundle []byte) *Statement {
	envelope, err := unwrap(bundle)
	if err != nil {
		return nil
	}
	s, err := parseStatement(envelope.GetPayload())
	if err != nil {
		return nil
	}
	return s
}
