package benchmark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// mostRounds bounds what one process may hand in; it is all kept.
const mostRounds = 100_000

// parseRounds reads what a measuring program wrote: {"schema": 1, "unit": "s", "rounds": [0.0021, …]}. A round of no
// time, or of one that is no number, was not measured.
func parseRounds(content []byte) ([]float64, error) {
	var doc struct {
		Schema int        `json:"schema"`
		Unit   string     `json:"unit"`
		Rounds *[]float64 `json:"rounds"`
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("read rounds: the file is empty")
		}
		return nil, fmt.Errorf("read rounds: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read rounds: something follows the JSON object")
	}
	switch {
	case doc.Schema != 1:
		return nil, fmt.Errorf("read rounds: schema is %d, this program reads 1", doc.Schema)
	case doc.Unit != "s":
		return nil, fmt.Errorf("read rounds: unit is %q, not \"s\"", doc.Unit)
	case doc.Rounds == nil || len(*doc.Rounds) == 0:
		return nil, errors.New("read rounds: there is none, so nothing was timed")
	case len(*doc.Rounds) > mostRounds:
		return nil, fmt.Errorf("read rounds: there are %d, more than %d: time less of them", len(*doc.Rounds), mostRounds)
	}
	for i, round := range *doc.Rounds {
		if math.IsNaN(round) || math.IsInf(round, 0) || round <= 0 {
			return nil, fmt.Errorf("read rounds: round %d took %v s, so it was not timed", i+1, round)
		}
	}
	return *doc.Rounds, nil
}
