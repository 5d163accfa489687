package records

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrChanged says that what was read is not one state of the file.
var ErrChanged = errors.New("the file changed while it was read: run again when nothing writes to it")

// A source reads a regular file as it was when it was opened.
type source struct {
	path string
	file *os.File
	was  fs.FileInfo
	read atomic.Int64
	odd  bool // it was shorter or longer than it was said to be
}

// openSource opens a regular file. It does not block on a pipe, nor read a device.
func openSource(path string) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainOpen(err)
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	// What was a file a moment ago can be a pipe now.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainOpen(err)
	}
	if info, err = file.Stat(); err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &source{path: path, file: file, was: info}, nil
}

func explainOpen(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: check the path in the contract", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: give this user the right to read it", err)
	}
	return err
}

func checkRegular(path string, info fs.FileInfo) error {
	what := "a device"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("this is %s, not a file: name a file in the contract's path", what)}
}

// Read ends where the file ended when it was opened: one that grows as fast as it is read would never end.
func (s *source) Read(p []byte) (int, error) {
	left := s.was.Size() - s.read.Load()
	if left <= 0 {
		var one [1]byte
		if n, _ := s.file.Read(one[:]); n > 0 {
			s.odd = true
		}
		return 0, io.EOF
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := s.file.Read(p)
	s.read.Add(int64(n))
	if err == io.EOF {
		s.odd = true
	}
	return n, err
}

// changed says whether the file is not what it was.
func (s *source) changed() bool {
	is, err := os.Stat(s.path)
	return s.odd || err != nil || !os.SameFile(is, s.was) || is.Size() != s.was.Size() || !is.ModTime().Equal(s.was.ModTime())
}

// unpack returns the file's bytes. A file that begins as gzip is gzip, declared or not.
func unpack(src io.Reader, compression string) (io.Reader, error) {
	declared := false
	switch strings.ToLower(compression) {
	case "", "no":
	case "gz", "gzip":
		declared = true
	default:
		return nil, fmt.Errorf("compression %q is not known: use gz or none", compression)
	}
	const magic = "\x1f\x8b\x08"
	begin, err := peek(src, len(magic))
	if err != nil {
		return nil, err
	}
	all := io.MultiReader(bytes.NewReader(begin), src)
	if string(begin) == magic {
		return gzip.NewReader(bufio.NewReaderSize(all, decoderSize))
	}
	if declared {
		return nil, errors.New("it is not gzip, as its contract says: remove compression there")
	}
	return all, nil
}

// peek reads the first bytes of a file, which may have fewer. An error of gzip comes again with the next read.
func peek(src io.Reader, size int) ([]byte, error) {
	begin := make([]byte, size)
	n, err := io.ReadFull(src, begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return begin[:n], err
}

// explain adds to an error of reading what to do.
func (s *source) explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if s.changed() {
		return fmt.Errorf("read %s: %w", s.path, errors.Join(ErrChanged, err))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: its gzip data ends early: fetch the file again", s.path)
	}
	if strings.Contains(err.Error(), "gzip:") || strings.Contains(err.Error(), "flate:") {
		return fmt.Errorf("read %s: its gzip data is corrupt, or other bytes follow it: fetch the file again: %w", s.path, err)
	}
	return fmt.Errorf("read %s: %w", s.path, err)
}
