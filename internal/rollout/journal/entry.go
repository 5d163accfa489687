package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	longestLine    = 64 << 10
	longestName    = 256
	longestMessage = 4 << 10
	longestDetail  = 32 << 10
	// seal stands between what a line's hash is of, and the hash.
	seal = `,"hash":"`
)

// A Kind of entry.
type Kind string

// Kinds of entries.
const (
	Intent Kind = "intent" // it is on the disk before the side effect begins
	Done   Kind = "done"   // the side effect that the last intent announced has happened
	Failed Kind = "failed" // it has not, or nobody knows
	Note   Kind = "note"   // something was seen or decided
)

// An Entry is one line of audit.jsonl. The caller gives the fields from Epoch on.
type Entry struct {
	Sequence uint64          `json:"seq"`  // from 1
	Previous string          `json:"prev"` // hash of the entry before; of the first, 64 zeros
	Time     time.Time       `json:"time"`
	Epoch    uint64          `json:"epoch"` // of the lease under which it was written: never less than before
	Actor    string          `json:"actor"` // who asked for it
	Release  string          `json:"release,omitempty"`
	Action   string          `json:"action"`
	Kind     Kind            `json:"kind"`
	Message  string          `json:"message,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"` // numbers and what else a program reads
	// Hash is SHA-256, in lower-case hexadecimal digits, of the line up to the comma before this field.
	Hash string `json:"-"`
}

// An Anchor is a place in the log, to be kept where an editor of the log can't reach it. The zero Anchor is none.
type Anchor struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// tidy makes all text harmless, of a bounded length and free of secrets.
func (e *Entry) tidy(mask *plain.Mask) {
	for _, name := range []*string{&e.Actor, &e.Release, &e.Action} {
		*name = shorten(mask.String(plain.Line(*name)), longestName)
	}
	e.Message = shorten(mask.String(plain.Text(e.Message)), longestMessage)
	e.Detail = mask.Bytes(e.Detail)
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// encode sets the hash and returns the line.
func (e *Entry) encode() ([]byte, error) {
	if len(e.Detail) > longestDetail {
		return nil, fmt.Errorf("the detail has %d bytes: more than %d are not written", len(e.Detail), longestDetail)
	}
	if !known(e.Kind) {
		return nil, fmt.Errorf("unknown kind of entry %q", e.Kind)
	}
	content, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	body := content[:len(content)-1]
	e.Hash = hash(body)
	return fmt.Appendf(nil, "%s%s%s\"}\n", body, seal, e.Hash), nil
}

func known(k Kind) bool { return k == Intent || k == Done || k == Failed || k == Note }

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// decode reads a line without its end. It looks at the bytes, not at what they mean: only one text has that hash.
func decode(line []byte) (Entry, error) {
	var e Entry
	tail := len(seal) + 2*sha256.Size + len(`"}`)
	if len(line) < tail || !bytes.HasPrefix(line[len(line)-tail:], []byte(seal)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return e, errors.New("it does not end with a hash")
	}
	body := line[:len(line)-tail]
	stated := string(line[len(line)-tail+len(seal) : len(line)-len(`"}`)])
	if stated != hash(body) {
		return e, errors.New("its content does not have the hash at its end: it was edited")
	}
	decoder := json.NewDecoder(bytes.NewReader(append(body[:len(body):len(body)], '}')))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return e, fmt.Errorf("it is no entry: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return e, errors.New("it is no entry: something follows it")
	}
	if !known(e.Kind) {
		return e, errors.New("it is of an unknown kind")
	}
	e.Hash = stated
	return e, nil
}
