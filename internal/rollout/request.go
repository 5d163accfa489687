package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// An Action is what somebody may ask of a roll-out under way.
type Action string

// Actions.
const (
	Abort   Action = "abort"   // roll back
	Pause   Action = "pause"   // stay at this weight
	Resume  Action = "resume"  // go on, with a fresh window
	Promote Action = "promote" // go on to the next weight now, whatever the judge still waits for
)

// A Request comes from another process: the deployer that watches, or anybody's terminal.
type Request struct {
	ID     string `json:"-"` // in the order of time
	Roll   string `json:"roll"`
	Action Action `json:"action"`
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
}

// An Inbox holds requests for the driver.
type Inbox interface {
	// Next is the oldest request; false if there is none.
	Next(ctx context.Context) (Request, bool, error)
	// Remove takes a request out that was handled.
	Remove(ctx context.Context, id string) error
}

const longestRequest = 16 << 10

// Requests is an Inbox of files in a directory.
type Requests struct{ Dir string }

// Put adds a request.
func (q Requests) Put(now time.Time, r Request) error {
	content, err := json.Marshal(r)
	if err == nil && len(content) > longestRequest {
		err = fmt.Errorf("it has %d bytes", len(content))
	}
	if err == nil {
		err = os.MkdirAll(q.Dir, 0o700)
	}
	if err == nil {
		name := fmt.Sprintf("%020d-%d.json", now.UnixNano(), os.Getpid())
		err = wholefile.Write(filepath.Join(q.Dir, name), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("ask the roll-out to %s: %w", r.Action, err)
	}
	return nil
}

// Next implements Inbox. What is no request is removed: it must not block those behind it.
func (q Requests) Next(ctx context.Context) (Request, bool, error) {
	entries, err := os.ReadDir(q.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Request{}, false, nil
	}
	if err != nil {
		return Request{}, false, fmt.Errorf("read requests: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // being written
			continue
		}
		r, err := q.read(e.Name())
		if err == nil {
			return r, true, nil
		}
		if err := q.Remove(ctx, e.Name()); err != nil {
			return Request{}, false, err
		}
	}
	return Request{}, false, nil
}

func (q Requests) read(name string) (Request, error) {
	var r Request
	file, err := os.Open(filepath.Join(q.Dir, name))
	if err != nil {
		return r, err
	}
	content, err := io.ReadAll(io.LimitReader(file, longestRequest+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return r, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, err
	}
	r.ID = name
	switch r.Action {
	case Abort, Pause, Resume, Promote:
		return r, nil
	default:
		return r, fmt.Errorf("unknown action %q", r.Action)
	}
}

// Remove implements Inbox.
func (q Requests) Remove(_ context.Context, id string) error {
	if err := os.Remove(filepath.Join(q.Dir, filepath.Base(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove request: %w", err)
	}
	return nil
}
