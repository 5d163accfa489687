package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
)

// runningDir holds one record for each run that is on its way, below the state directory.
const runningDir = "running"

const recordSuffix = ".jsonl"

// identity names a process so that a later one with the same number is not taken for it.
type identity struct {
	Pid   int    `json:"pid"`
	Start string `json:"start"`
}

// entry is one line of a record: the owner first, then programs as they start and end.
type entry struct {
	Run     string    `json:"run,omitempty"`
	Owner   *identity `json:"owner,omitempty"`
	Since   string    `json:"since,omitempty"`
	Started *identity `json:"started,omitempty"`
	Name    string    `json:"name,omitempty"`
	Ended   *identity `json:"ended,omitempty"`
}

// record is the file that says what a run has running. Its owner holds a lock on it, which the kernel lets go of when
// the owner dies, however it dies: whoever gets the lock knows that the run is dead, without looking at numbers of
// processes that may mean another process by now, or one of another container.
type record struct {
	mu   sync.Mutex
	file *os.File
	path string
}

func newRecord(state, run string) (*record, error) {
	dir := filepath.Join(state, runningDir)
	r, err := createRecord(dir, run)
	if err != nil {
		return nil, fmt.Errorf("record run in %s: %w: check that the disk has room and that you may write there", dir, err)
	}
	return r, nil
}

// createRecord locks the file before it gets its name, so that no sweep finds it without its owner.
func createRecord(dir, run string) (*record, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, run+recordSuffix)
	file, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r := &record{file: file, path: path}
	owner := identify(os.Getpid())
	err = errors.Join(
		lock(file),
		r.write(entry{Run: run, Owner: &owner, Since: time.Now().UTC().Format(time.RFC3339)}),
	)
	if err == nil {
		err = os.Link(path+".new", path) // unlike a rename it never replaces another run's record
	}
	if err = errors.Join(err, os.Remove(path+".new")); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// lock does not wait: the holder of the lock holds it for as long as it lives.
func lock(file *os.File) error {
	taken, err := filelock.Try(file)
	if err == nil && !taken {
		err = fmt.Errorf("lock %s: another run has it", file.Name())
	}
	return err
}

func (r *record) add(id identity, name string) error {
	if err := r.write(entry{Started: &id, Name: name}); err != nil {
		return fmt.Errorf("record program: %w: check that the disk has room", err)
	}
	return nil
}

func (r *record) remove(id identity) error {
	if err := r.write(entry{Ended: &id}); err != nil {
		return fmt.Errorf("record end of program: %w: check that the disk has room", err)
	}
	return nil
}

// write appends a line at once, so that a kill leaves at the most one line that is torn, at the end.
func (r *record) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = r.file.Write(append(line, '\n'))
	return err
}

func (r *record) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := os.Remove(r.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil // somebody cleaned up
	}
	if err := errors.Join(err, r.file.Close()); err != nil {
		return fmt.Errorf("remove record of run: %w", err)
	}
	return nil
}

// remains is what a record says of a dead run.
type remains struct {
	run      string
	owner    identity
	programs map[identity]string
	known    kin
}

// parseRecord reads as much as is there: a torn last line tells of a program that hardly started.
func parseRecord(b []byte) *remains {
	dead := &remains{programs: map[identity]string{}, known: kin{}}
	for line := range bytes.Lines(b) {
		var e entry
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch {
		case e.Owner != nil:
			dead.run, dead.owner = e.Run, *e.Owner
		case e.Started != nil:
			dead.programs[*e.Started] = e.Name
		case e.Ended != nil:
			delete(dead.programs, *e.Ended)
		}
	}
	return dead
}
