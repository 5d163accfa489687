package journal

import (
	"context"
	"fmt"
	"io"
	"os"
)

// A Tail follows a log that others write.
type Tail struct {
	dir string
	at  end
}

// Follow begins at the first entry.
func Follow(dir string) *Tail { return &Tail{dir: dir, at: start()} }

// Read hands over the entries that were written since the last time. What does not fit comes back as ErrDamaged, also
// a log that has become shorter.
func (t *Tail) Read(ctx context.Context, each func(Entry) error) error {
	s := scanner{at: t.at, limit: 1}
	err := shared(ctx, t.dir, func(log io.Reader) error {
		file, ok := log.(*os.File)
		if !ok { // there is none yet
			return nil
		}
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if info.Size() < t.at.offset {
			s.report("it has become shorter")
			return nil
		}
		_, err = s.scan(io.NewSectionReader(file, t.at.offset, info.Size()-t.at.offset), each)
		return err
	})
	t.at = s.at
	if err != nil {
		return fmt.Errorf("follow audit log: %w", err)
	}
	return Report{Problems: s.problems}.Err()
}
