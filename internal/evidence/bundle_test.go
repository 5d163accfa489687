package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sealed is the bundle of the benchmark, and the key that signed it.
func sealed(t testing.TB) ([]byte, PrivateKey) {
	t.Helper()
	w := newWorld(t)
	for _, found := range w.found {
		if strings.HasSuffix(found.Origin, "-benchmark") {
			return found.Content, w.key
		}
	}
	t.Fatal("there is no bundle")
	return nil, w.key
}

// The form is Sigstore's, to the letter, since others read it.
func TestBundleForm(t *testing.T) {
	content, key := sealed(t)
	var bundle struct {
		MediaType            string `json:"mediaType"`
		VerificationMaterial struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
		DSSE struct {
			Payload     string `json:"payload"`
			PayloadType string `json:"payloadType"`
			Signatures  []struct {
				Sig   string `json:"sig"`
				KeyID string `json:"keyid"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&bundle); err != nil {
		t.Fatal(err)
	}
	if bundle.MediaType != BundleType || bundle.VerificationMaterial.PublicKey.Hint != key.ID || bundle.DSSE.PayloadType != PayloadType {
		t.Errorf("%+v", bundle)
	}
	if len(bundle.DSSE.Signatures) != 1 || bundle.DSSE.Signatures[0].KeyID != key.ID || !strings.HasPrefix(key.ID, "SHA256:") {
		t.Errorf("signatures: %+v", bundle.DSSE.Signatures)
	}
	payload, err := base64.StdEncoding.DecodeString(bundle.DSSE.Payload)
	if err != nil || !bytes.Contains(payload, []byte(`"_type":"`+StatementType+`"`)) {
		t.Errorf("payload: %v\n%s", err, payload)
	}
}

// Every byte is changed in several ways, taken out, and doubled. What is still accepted says the same: spaces between
// the parts, another alphabet of base64, bits that base64 does not use.
func TestNoByteCanBeChanged(t *testing.T) {
	content, key := sealed(t)
	keys := []PublicKey{key.PublicKey}
	want, err := Open(content, keys)
	if err != nil {
		t.Fatal(err)
	}
	refused, same := 0, 0
	check := func(changed []byte) {
		t.Helper()
		got, err := Open(changed, keys)
		if err != nil {
			refused++
			return
		}
		same++
		if !bytes.Equal(want.Payload, got.Payload) || want.Signer != got.Signer {
			t.Fatalf("accepted, and says something else:\n%s", changed)
		}
	}
	for i := range content {
		for _, mask := range []byte{0x01, 0x02, 0x04, 0x20, 0x80} {
			changed := bytes.Clone(content)
			changed[i] ^= mask
			check(changed)
		}
		changed := bytes.Clone(content)
		changed[i] = ' '
		check(changed)
		check(append(bytes.Clone(content[:i]), content[i+1:]...))
		check(append(bytes.Clone(content[:i+1]), content[i:]...))
		check(content[:i])
	}
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, content, "", "  "); err != nil {
		t.Fatal(err)
	}
	check(spaced.Bytes())
	if same == 0 {
		t.Error("spaces between the parts are refused, though nothing is signed there")
	}
	t.Logf("%d bytes: %d changes refused, %d accepted that say the same", len(content), refused, same)
	// Nearly nothing may be accepted: a check that never looks would pass the loop above.
	if same > refused/1000 {
		t.Errorf("%d of %d changes are accepted", same, same+refused)
	}
}

func TestBundlesThatAreNone(t *testing.T) {
	content, key := sealed(t)
	swap := func(from, to string) []byte { return bytes.ReplaceAll(content, []byte(from), []byte(to)) }
	stranger := newKey(t)
	for _, tc := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "read bundle"},
		{"no JSON", []byte("hello"), "read bundle"},
		{"an empty one", []byte("{}"), "its media type is"},
		{"of another version", swap("v0.3", "v0.2"), "its media type is"},
		{"another payload type", swap(PayloadType, "application/json"), "its payload is"},
		{"two keys named", swap(`"hint":"`+key.ID, `"hint":"`+stranger.ID), "it names two different keys"},
		{"a stranger named", swap(key.ID, stranger.ID), "not signed by a trusted key"},
		{"no key named", swap(`"publicKey":{"hint":"`+key.ID+`"}`, ""), "not signed by a trusted key"},
		{"no signature", swap(`"signatures":[`, `"signatures":[],"x":[`), "read bundle"},
		{"an unknown field", swap(`{"mediaType"`, `{"note":"","mediaType"`), "read bundle"},
		{"a field twice", swap(`{"mediaType"`, `{"mediaType":"","mediaType"`), "read bundle"},
		{"a field twice, by its other name", swap(`{"mediaType"`, `{"media_type":"","mediaType"`), "read bundle"},
		{"too large", append(bytes.Clone(content), bytes.Repeat([]byte(" "), MaxBundle)...), "more than a bundle"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Open(tc.content, []PublicKey{key.PublicKey})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
	two := bytes.Replace(content, []byte(`"signatures":[`), []byte(`"signatures":[{"sig":"QQ==","keyid":"`+key.ID+`"},`), 1)
	if _, err := Open(two, []PublicKey{key.PublicKey}); err == nil || !strings.Contains(err.Error(), "2 signatures") {
		t.Errorf("two signatures: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	content, key := sealed(f)
	f.Add(content)
	f.Add([]byte(`{"mediaType":"` + BundleType + `"}`))
	f.Add(bytes.Replace(content, []byte(`"keyid"`), []byte(`"keyID"`), 1))
	keys := []PublicKey{key.PublicKey}
	want, err := Open(content, keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Open(content, keys)
		if err == nil && !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("accepted what nobody signed:\n%s", content)
		}
		_ = Show("fuzz", []Found{{Origin: "fuzz", Content: content}}, keys)
	})
}

// What is signed may be anything, if the signer is not ours: reading it must not fail but by an error.
func FuzzPayload(f *testing.F) {
	w := newWorld(f)
	for _, found := range w.found {
		f.Add(claimed(found.Content).Payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		signed, err := Seal(w.key, &Statement{Name: "fuzz", Payload: payload})
		if err != nil {
			t.Skip("nothing was sealed, so there is nothing to read: ", err)
		}
		found := append([]Found{}, w.found...)
		// It may refute a stage, so all that counts here is that it ends.
		_ = Verify(Request{
			Name: "production", Policy: w.policy, Digest: w.digest, Bundles: append(found, Found{Origin: "fuzz", Content: signed}), Keys: w.keys, Now: w.now,
		}).Text()
		verdict := Verify(Request{Name: "production", Policy: w.policy, Digest: w.digest, Bundles: []Found{{Origin: "fuzz", Content: signed}}, Keys: w.keys, Now: w.now})
		if verdict.Met {
			t.Errorf("one statement meets a policy of five stages:\n%s", payload)
		}
	})
}

func TestShowSaysWhatStandsBehindIt(t *testing.T) {
	w := newWorld(t)
	w.judge(newKey(t), only("unit", fails))
	w.found = append(w.found, Found{Origin: "99-junk\x1b[31m", Content: []byte("{")})
	shown := Show("registry.example/meter/model-api@"+digest, w.found, w.keys)
	for _, want := range []string{
		"8 of 10 statements are signed by a trusted key",
		"made of    source tree " + tree + ", commit " + commit,
		"quality PASSED  2026-11-28 12:01:00 UTC",
		"pylint_score 8.4 (at least 7)",
		"where      local machine laptop, run 20261128-120000-aaaa",
		"by         ada",
		"unit FAILED",
		"FOREIGN, not signed by a trusted key",
		"lists      1 components",
		"unreadable",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("an escape sequence reaches the terminal")
	}
	if t.Failed() {
		t.Log(shown)
	}
}

func TestDigests(t *testing.T) {
	w := newWorld(t)
	w.build(newKey(t), func(b *Build) { b.Images.Images[0].Digest = other })
	if diff := cmp.Diff([]string{digest}, Digests(w.found, w.keys)); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
}
