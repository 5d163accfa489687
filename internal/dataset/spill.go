package dataset

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
)

// A spill puts keyed records into parts on disk, each of which fits into the memory: equal keys come into the same part,
// and each part keeps the order in which it was written.
type spill struct {
	file  *os.File
	seed  maphash.Seed
	parts []spillPart
	size  int // of a part's buffer
	end   int64
}

type spillPart struct {
	buffer []byte
	pieces []piece
}

// A piece of a part in the file.
type piece struct {
	offset int64
	size   int
}

const (
	mostParts    = 1024
	largestPiece = 64 << 10
)

// newSpill makes the file, which has no name from then on, so that nothing is left of it however this ends.
func newSpill(dir string, seed maphash.Seed, need, room int64) (*spill, error) {
	file, err := os.CreateTemp(dir, "keys-*")
	if err != nil {
		return nil, fmt.Errorf("put keys on disk: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("put keys on disk: %w", err), file.Close())
	}
	parts := min(need/room+1, mostParts)
	return &spill{
		file: file, seed: seed, parts: make([]spillPart, parts), size: int(min(max(room/2/parts, 1<<10), largestPiece)),
	}, nil
}

func (s *spill) close() error { return s.file.Close() }

func (s *spill) add(k keyed) error {
	p := &s.parts[maphash.Bytes(s.seed, k.key)%uint64(len(s.parts))]
	p.buffer = binary.AppendVarint(p.buffer, k.number)
	p.buffer = binary.AppendUvarint(p.buffer, uint64(len(k.key)))
	p.buffer = append(p.buffer, k.key...)
	if len(p.buffer) < s.size {
		return nil
	}
	return s.flush(p)
}

func (s *spill) flush(p *spillPart) error {
	if _, err := s.file.WriteAt(p.buffer, s.end); err != nil {
		return fmt.Errorf("put keys on disk: %w", err)
	}
	p.pieces = append(p.pieces, piece{s.end, len(p.buffer)})
	s.end += int64(len(p.buffer))
	p.buffer = p.buffer[:0]
	return nil
}

// read one part. What is still in its buffer comes last.
func (s *spill) read(ctx context.Context, part int, take func(keyed)) error {
	p := &s.parts[part]
	if err := s.flush(p); err != nil {
		return err
	}
	p.buffer = nil
	var k keyed
	for _, piece := range p.pieces {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := bufio.NewReader(io.NewSectionReader(s.file, piece.offset, int64(piece.size)))
		for {
			number, err := binary.ReadVarint(r)
			if errors.Is(err, io.EOF) {
				break
			}
			size, err2 := binary.ReadUvarint(r)
			if err := errors.Join(err, err2); err != nil {
				return fmt.Errorf("read keys from disk: %w", err)
			}
			k.number = number
			k.key = append(k.key[:0], make([]byte, size)...)
			if _, err := io.ReadFull(r, k.key); err != nil {
				return fmt.Errorf("read keys from disk: %w", err)
			}
			take(k)
		}
	}
	return nil
}
