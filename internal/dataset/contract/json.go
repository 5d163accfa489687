package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf16"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// fromJSON checks that the content is JSON, and makes it the YAML that package strict reads, each value in its place:
// almost all JSON is YAML, but not tabs before values, nor characters that are escaped as two halves.
func fromJSON(file string, content []byte) ([]byte, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, nil
	}
	if line, ok := strict.InvalidText(content); !ok {
		return nil, strict.Problems{{File: file, Line: line, Message: "it is not UTF-8 text", Remedy: "save it as UTF-8"}}
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	var first json.RawMessage
	err := decoder.Decode(&first)
	end := decoder.InputOffset()
	if err == nil {
		if err = decoder.Decode(&first); errors.Is(err, io.EOF) {
			return asYAML(content), nil
		}
		rest := content[end:]
		end += int64(len(rest) - len(bytes.TrimLeft(rest, " \t\r\n")))
		err = errors.New("something follows the first value")
	}
	problem := strict.Problem{File: file, Message: "it is not JSON: " + err.Error(), Remedy: "look for a missing or extra comma, quote or bracket before it"}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		end = max(syntax.Offset-1, 0)
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		end, problem.Message = int64(len(content)), "it is not JSON: it ends too early"
	}
	before := content[:min(int(end), len(content))]
	problem.Line = bytes.Count(before, []byte("\n")) + 1
	problem.Column = len([]rune(string(before[bytes.LastIndexByte(before, '\n')+1:]))) + 1
	return nil, strict.Problems{problem}
}

// asYAML keeps every value where it stands, but for what follows a pair of halves on its line.
func asYAML(content []byte) []byte {
	content = bytes.ReplaceAll(content, []byte("\t"), []byte(" ")) // in a JSON text it would be written \t
	pair := regexp.MustCompile(`\\*\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	return pair.ReplaceAllFunc(content, func(found []byte) []byte {
		slashes := bytes.IndexByte(found, 'u')
		if slashes%2 == 0 { // the backslash before u is itself escaped
			return found
		}
		half := func(at int) rune {
			n, _ := strconv.ParseUint(string(found[at:at+4]), 16, 16) // the pattern has seen to the digits
			return rune(n)
		}
		return fmt.Appendf(bytes.Clone(found[:slashes-1]), `\U%08X`, utf16.DecodeRune(half(slashes+1), half(slashes+7)))
	})
}
