package records

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"
)

// numbers makes a file of 17 columns of numbers of about seven bytes.
func numbers(rows int, quoted int, end string) []byte {
	rng := rand.New(rand.NewPCG(7, 8))
	var b bytes.Buffer
	for range rows {
		for c := range 17 {
			cell := strconv.FormatFloat(rng.NormFloat64()*100, 'f', rng.IntN(3)+2, 64)
			if c < quoted {
				cell = strconv.Quote(cell)
			}
			if c > 0 {
				b.WriteByte(',')
			}
			b.WriteString(cell)
		}
		b.WriteString(end)
	}
	return b.Bytes()
}

// blocks reads the file into blocks that are not parsed.
func blocks(b *testing.B, data []byte) []*Block {
	g, err := newGrammar(standard)
	if err != nil {
		b.Fatal(err)
	}
	r, err := newReader(bytes.NewReader(data), g, Options{})
	if err != nil {
		b.Fatal(err)
	}
	var all []*Block
	for {
		block, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, block)
	}
}

var files = []struct {
	name   string
	quoted int
	end    string
}{{"numbers", 0, "\n"}, {"crlf", 0, "\r\n"}, {"one-quoted", 1, "\n"}, {"all-quoted", 17, "\n"}}

// BenchmarkParse is what a worker does with a block. Quoted cells change in place, so those blocks are made anew, which
// is counted.
func BenchmarkParse(b *testing.B) {
	for _, file := range files {
		b.Run(file.name, func(b *testing.B) {
			data := numbers(60_000, file.quoted, file.end)
			all := blocks(b, data)
			raw := make([]string, len(all))
			for i, block := range all {
				raw[i] = string(block.Data)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				for i, block := range all {
					block.reset()
					block.Data = append(block.Data[:0], raw[i]...)
					block.Parse()
				}
			}
		})
	}
}

// BenchmarkNext is what is done one after the other.
func BenchmarkNext(b *testing.B) {
	for _, file := range files {
		b.Run(file.name, func(b *testing.B) {
			data := numbers(60_000, file.quoted, file.end)
			path := write(b, "numbers.csv", data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				for {
					block, err := r.Next(context.Background())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					r.Release(block)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodingCSV is the standard library on the same files.
func BenchmarkEncodingCSV(b *testing.B) {
	for _, file := range files {
		b.Run(file.name, func(b *testing.B) {
			data := numbers(60_000, file.quoted, file.end)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r := csv.NewReader(bytes.NewReader(data))
				r.ReuseRecord = true
				for {
					if _, err := r.Read(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
