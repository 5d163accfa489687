package infer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// A form is how a file is written.
type form struct {
	compression   string
	encoding      string
	encodingGuess string // why, if it is a guess
	crlf          bool
	dialect       contract.Dialect
}

// sniff finds the form from the file's bytes: the encoding from all of them, the dialect from the first 64 KiB.
func sniff(file string) (f form, err error) {
	source, err := os.Open(file)
	if err != nil {
		return f, fmt.Errorf("infer a contract: %w", err)
	}
	defer func() { _ = source.Close() }()
	reader := bufio.NewReaderSize(source, 1<<16)
	if magic, _ := reader.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		f.compression = "gz"
		unpacked, err := gzip.NewReader(reader)
		if err != nil {
			return f, fmt.Errorf("infer a contract of %s: %w", file, err)
		}
		reader = bufio.NewReaderSize(unpacked, 1<<16)
	}
	head, err := reader.Peek(1 << 16)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("infer a contract of %s: %w", file, err)
	}
	head = slices.Clone(head)
	f.dialect = contract.DefaultDialect()
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		f.encoding, head = "utf-8-sig", head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		f.encoding = "utf-16"
		head = bytes.ReplaceAll(head[2:], []byte{0}, nil) // good enough to count delimiters
	default:
		if f.encoding, f.encodingGuess, err = encoding(reader); err != nil {
			return f, fmt.Errorf("infer a contract of %s: %w", file, err)
		}
	}
	rows := firstRows(head)
	f.crlf = bytes.Contains(head, []byte("\r\n"))
	f.dialect.Delimiter = delimiter(rows)
	f.dialect.Header = header(rows, f.dialect.Delimiter)
	return f, nil
}

// encoding looks at the whole file: one byte that is not UTF-8 may stand at its end.
func encoding(r io.Reader) (name, why string, err error) {
	buffer := make([]byte, 1<<16)
	rest, windows := 0, false
	valid := true
	for {
		n, err := r.Read(buffer[rest:])
		data := buffer[:rest+n]
		windows = windows || slices.ContainsFunc(data, func(c byte) bool { return c >= 0x80 && c < 0xa0 })
		for valid && len(data) > 0 {
			c, size := utf8.DecodeRune(data)
			if c == utf8.RuneError && size == 1 {
				if err == nil && !utf8.FullRune(data) {
					break // cut at the buffer's end
				}
				valid = false
			}
			data = data[size:]
		}
		rest = 0
		if valid {
			rest = copy(buffer, data)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", "", err
		}
	}
	switch {
	case valid:
		return "utf-8", "", nil
	case windows:
		return "windows-1252", "it is not UTF-8, and uses bytes that iso-8859-1 leaves to controls", nil
	default:
		return "iso-8859-1", "it is not UTF-8; every byte is a character of this encoding, whether meant or not", nil
	}
}

// firstRows are up to 50 whole lines. Line ends between quotes do not matter for a guess: the delimiters of such rows
// are few, and the others outvote them.
func firstRows(head []byte) []string {
	text := string(head)
	if len(head) == 1<<16 {
		text = text[:max(0, strings.LastIndexByte(text, '\n'))]
	}
	var rows []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && len(rows) < 50 {
			rows = append(rows, line)
		}
	}
	return rows
}

// split cuts a line at a delimiter outside of quotes.
func split(line string, delimiter byte) []string {
	var cells []string
	start, quoted := 0, false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == delimiter && !quoted:
			cells = append(cells, strings.Trim(line[start:i], `"`))
			start = i + 1
		}
	}
	return append(cells, strings.Trim(line[start:], `"`))
}

// delimiter is the one that cuts most rows into as many cells as the first, and into the most of these.
func delimiter(rows []string) byte {
	best, most := byte(','), 0
	for _, d := range []byte{',', ';', '\t', '|'} {
		if len(rows) == 0 {
			break
		}
		cells, same := len(split(rows[0], d)), 0
		for _, row := range rows {
			if len(split(row, d)) == cells {
				same++
			}
		}
		if score := same * (cells - 1); cells > 1 && same*10 >= 9*len(rows) && score > most {
			best, most = d, score
		}
	}
	return best
}

// header reports whether the first row names the columns: its cells differ, none is empty, and none is a number.
func header(rows []string, delimiter byte) bool {
	if len(rows) == 0 {
		return true
	}
	seen := map[string]bool{}
	for _, name := range split(rows[0], delimiter) {
		name = strings.TrimSpace(name)
		_, number := cell.ParseFloat([]byte(name))
		if name == "" || number || seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}
