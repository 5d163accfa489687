package keys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// chunk is how much is encoded or decoded at once, in records.
const chunk = 4096

// spill writes the writer's segment to the file, which other writers may do at the same time.
func (w *Writer) spill(made *segment) error {
	file, offset, err := w.sorter.reserve(int64(len(made.records)) * recordSize)
	if err != nil {
		return err
	}
	if err := writeRecords(file, made.records, offset, &w.encoded); err != nil {
		return w.sorter.explain(err)
	}
	made.records, made.offset = nil, offset
	return nil
}

// reserve returns the place of so many bytes in the file, and makes the file for the first ones.
func (s *Sorter) reserve(size int64) (*os.File, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		file, err := unnamed(s.dir)
		if err != nil {
			return nil, 0, fmt.Errorf("make temporary file for keys: %w", err)
		}
		s.file = file
	}
	offset := s.end
	s.end += size
	return s.file, offset, nil
}

// explain adds the remedy to an error of writing.
func (s *Sorter) explain(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("write keys to %s: %w: free space there, or allow more memory than %d MiB", s.dir, err, s.memory>>20)
	}
	return fmt.Errorf("write keys to %s: %w", s.dir, err)
}

func writeRecords(file *os.File, records []Record, offset int64, buffer *[]byte) error {
	if *buffer == nil {
		*buffer = make([]byte, chunk*recordSize)
	}
	for len(records) > 0 {
		n := min(len(records), chunk)
		encoded := (*buffer)[:n*recordSize]
		for i, record := range records[:n] {
			at := encoded[i*recordSize : i*recordSize+recordSize : i*recordSize+recordSize]
			binary.LittleEndian.PutUint64(at, record.Key)
			binary.LittleEndian.PutUint64(at[8:], record.Row)
		}
		if _, err := file.WriteAt(encoded, offset); err != nil {
			return err
		}
		records, offset = records[n:], offset+int64(len(encoded))
	}
	return nil
}

// readRecords fills records with what is at the offset.
func readRecords(file *os.File, records []Record, offset int64, buffer *[]byte) error {
	if *buffer == nil {
		*buffer = make([]byte, chunk*recordSize)
	}
	for len(records) > 0 {
		n := min(len(records), chunk)
		encoded := (*buffer)[:n*recordSize]
		if _, err := file.ReadAt(encoded, offset); err != nil {
			return fmt.Errorf("read keys back: %w", err)
		}
		for i := range records[:n] {
			at := encoded[i*recordSize : i*recordSize+recordSize : i*recordSize+recordSize]
			records[i] = Record{binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:])}
		}
		records, offset = records[n:], offset+int64(len(encoded))
	}
	return nil
}

// named makes a file in dir and takes its name away at once.
func named(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "keys-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
