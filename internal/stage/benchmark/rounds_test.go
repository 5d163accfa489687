package benchmark

import (
	"strings"
	"testing"
)

func TestParseRounds(t *testing.T) {
	got, err := parseRounds([]byte(`{"schema": 1, "unit": "s", "rounds": [0.25, 1e-5]}` + "\n"))
	if err != nil || len(got) != 2 || got[0] != 0.25 || got[1] != 1e-5 {
		t.Errorf("%v, %v", got, err)
	}
	for content, want := range map[string]string{
		"":                          "the file is empty",
		"null":                      "schema is 0",
		"[]":                        "cannot unmarshal array",
		`{"schema": 1, "unit":`:     "unexpected EOF",
		`{"schema": 1, "rounds": [`: "unexpected EOF",
		`{"schema": 2, "unit": "s", "rounds": [1]}`:                                         "schema is 2, this program reads 1",
		`{"schema": 1, "unit": "ms", "rounds": [1]}`:                                        `unit is "ms", not "s"`,
		`{"schema": 1, "unit": "s"}`:                                                        "there is none, so nothing was timed",
		`{"schema": 1, "unit": "s", "rounds": []}`:                                          "there is none, so nothing was timed",
		`{"schema": 1, "unit": "s", "rounds": [0.1, 0]}`:                                    "round 2 took 0 s, so it was not timed",
		`{"schema": 1, "unit": "s", "rounds": [-1]}`:                                        "round 1 took -1 s",
		`{"schema": 1, "unit": "s", "rounds": [NaN]}`:                                       "invalid character",
		`{"schema": 1, "unit": "s", "rounds": ["1"]}`:                                       "cannot unmarshal string",
		`{"schema": 1, "unit": "s", "rounds": [1], "mean": 1}`:                              `unknown field "mean"`,
		`{"schema": 1, "unit": "s", "rounds": [1]} {}`:                                      "something follows",
		`{"schema": 1, "unit": "s", "rounds": [1` + strings.Repeat(",1", mostRounds) + `]}`: "more than 100000",
	} {
		if rounds, err := parseRounds([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %d rounds, %v, want %q", content, len(rounds), err, want)
		}
	}
}

func FuzzRounds(f *testing.F) {
	f.Add([]byte(`{"schema": 1, "unit": "s", "rounds": [0.25, 1e-5]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		rounds, err := parseRounds(content)
		if err == nil && len(rounds) == 0 {
			t.Error("no round, and no error")
		}
		for _, r := range rounds {
			if !(r > 0) {
				t.Errorf("a round of %v", r)
			}
		}
	})
}
