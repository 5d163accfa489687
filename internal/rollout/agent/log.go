package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// longestDetail is what an entry takes at most. What is longer is left out instead of stopping a roll-out.
const longestDetail = 30 << 10

// A watchedLog is the journal of the leading agent. What goes through it is free of secrets, also of those that were
// brought after the journal was opened, and what was written is told to the board, the chronicle and the alerts. On a
// full disk it uses the reserve.
type watchedLog struct {
	rollout.Log
	l *leader
}

// Append implements rollout.Log.
func (w watchedLog) Append(ctx context.Context, e journal.Entry) (journal.Entry, error) {
	m := w.l.mask
	e.Actor, e.Release, e.Message = m.text(e.Actor), m.text(e.Release), m.text(e.Message)
	e.Detail = m.detail(e.Detail)
	written, err := w.Log.Append(ctx, e)
	if w.l.reserve.give(err) {
		w.l.say("the disk is full: the reserve is given up")
		written, err = w.Log.Append(ctx, e)
	}
	if err != nil {
		return written, err
	}
	w.l.board.entry(written)
	w.l.mu.Lock()
	found := w.l.chronicle.see(written)
	w.l.mu.Unlock()
	for _, one := range found {
		w.l.alerts.raise(one)
	}
	return written, nil
}

// Swap implements rollout.Log.
func (w watchedLog) Swap(ctx context.Context, seen journal.Release, epoch uint64, state any) (journal.Release, error) {
	s, ok := state.(rollout.State)
	if ok {
		s = w.l.mask.state(s)
		state = s
	}
	next, err := w.Log.Swap(ctx, seen, epoch, state)
	if w.l.reserve.give(err) {
		w.l.say("the disk is full: the reserve is given up")
		next, err = w.Log.Swap(ctx, seen, epoch, state)
	}
	if err == nil && ok {
		w.l.board.state(w.l.Now(), s)
	}
	return next, err
}

// A mask hides the secrets of the services. It can be renewed while it is used.
type mask struct{ now atomic.Pointer[plain.Mask] }

func (m *mask) text(s string) string { return m.now.Load().String(s) }

// detail hides them in JSON. A secret that is a number or a brace can break it; then it is told as text.
func (m *mask) detail(content json.RawMessage) json.RawMessage {
	content = m.now.Load().Bytes(content)
	if len(content) > longestDetail {
		return json.RawMessage(fmt.Sprintf(`{"left_out":"%d bytes"}`, len(content)))
	}
	if len(content) > 0 && !json.Valid(content) {
		if told, err := json.Marshal(plain.Line(string(content))); err == nil {
			return told
		}
		return nil
	}
	return content
}

// state hides them where text of others is: in the reasons. The rest has to stay what it is, whatever a secret is like.
func (m *mask) state(s rollout.State) rollout.State {
	if s.Roll != nil {
		r := *s.Roll
		r.Reason = m.text(r.Reason)
		s.Roll = &r
	}
	if s.Last != nil {
		last := *s.Last
		last.Reason = m.text(last.Reason)
		s.Last = &last
	}
	return s
}

// renew reads all secrets of the state directory.
func (m *mask) renew(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	var values []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read secrets: %w", err)
		}
		values = append(values, string(content))
	}
	m.now.Store(plain.NewMask(values...))
	return nil
}
