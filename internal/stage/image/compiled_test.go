package image

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// What Python 3.11 makes of these texts: importlib.util.source_hash(text), whose key is the magic number of its
// compiled files.
func TestSourceHashIsPythons(t *testing.T) {
	const key = 0x0a0d0da7
	for text, want := range map[string]string{"": "738d9cd5d5e87f73", "a = 1\n": "f656820dbc3feef3", strings.Repeat("x", 1000): "91e54c9786268d0a"} {
		b, err := hex.DecodeString(want)
		if err != nil {
			t.Fatal(err)
		}
		hash := binary.LittleEndian.Uint64(b)
		if !isSource([]byte(text), key, hash) {
			t.Errorf("%.10q hashes to %x", text, sipHash(1, 3, key, []byte(text)))
		}
		if isSource([]byte(text+" "), key, hash) || isSource([]byte(text), key+1, hash) {
			t.Errorf("%.10q: another text or another key will do", text)
		}
	}
}
