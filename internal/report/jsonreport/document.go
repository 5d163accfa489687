package jsonreport

import "github.com/meter-ml/meter-pipeline/internal/engine"

// The documents are apart from the engine's types, so that a change in there can't change the public shape unseen.

type runDoc struct {
	SchemaVersion    int           `json:"schema_version"`
	ID               string        `json:"id"`
	Target           string        `json:"target"`
	Status           engine.Status `json:"status"`
	ExitCode         int           `json:"exit_code"`
	Started          string        `json:"started"`
	Duration         float64       `json:"duration_seconds"`
	Commit           string        `json:"commit,omitempty"`
	Branch           string        `json:"branch,omitempty"`
	Dirty            bool          `json:"dirty"`
	Limit            int           `json:"limit"`
	Interrupted      bool          `json:"interrupted"`
	DeadlineExceeded bool          `json:"deadline_exceeded"`
	Origin           *originDoc    `json:"origin,omitempty"`
	Problems         []string      `json:"problems"`
	Warnings         []string      `json:"warnings,omitempty"`
	Totals           totalsDoc     `json:"totals"`
	Stages           []stageDoc    `json:"stages"`
}

// originDoc says whose work was judged and where, as far as is known.
type originDoc struct {
	Author  string `json:"author,omitempty"`
	Branch  string `json:"branch,omitempty"`
	By      string `json:"by,omitempty"`
	Builder string `json:"builder,omitempty"`
	URL     string `json:"url,omitempty"`
}

type totalsDoc struct {
	Steps    int `json:"steps"`
	Passed   int `json:"passed"`
	Failed   int `json:"failed"`
	Errors   int `json:"errors"`
	Skipped  int `json:"skipped"`
	Cached   int `json:"cached"`
	Findings int `json:"findings"`
	Shown    int `json:"findings_shown_only"`
	Allowed  int `json:"findings_allowed"`
}

type stageDoc struct {
	Name     string        `json:"name"`
	Status   engine.Status `json:"status"`
	Cached   bool          `json:"cached"`
	Duration float64       `json:"duration_seconds"`
	Steps    []stepDoc     `json:"steps"`
}

type stepDoc struct {
	Name     string        `json:"name"`
	Judges   string        `json:"judges,omitempty"`
	Status   engine.Status `json:"status"`
	Cached   bool          `json:"cached"`
	Reason   string        `json:"reason,omitempty"`
	Started  string        `json:"started,omitempty"`
	Duration float64       `json:"duration_seconds"`
	Judged   judgedDoc     `json:"judged"`
	Findings []findingDoc  `json:"findings"`
	Allowed  []allowedDoc  `json:"allowed"`
	Metrics  []metricDoc   `json:"metrics"`
	Notes    []string      `json:"notes"`
	Warnings []string      `json:"warnings"`
	Tables   []tableDoc    `json:"tables"`
	Command  string        `json:"command,omitempty"`
	Log      string        `json:"log,omitempty"`
	Rerun    string        `json:"rerun,omitempty"`
	Fix      string        `json:"fix,omitempty"`
}

type judgedDoc struct {
	Count int    `json:"count"`
	Unit  string `json:"unit,omitempty"`
}

type findingDoc struct {
	Rule        string `json:"rule"`
	Severity    string `json:"severity"`
	Fails       bool   `json:"fails"`
	Path        string `json:"path,omitempty"`
	Line        int    `json:"line,omitempty"`
	Column      int    `json:"column,omitempty"`
	EndLine     int    `json:"end_line,omitempty"`
	EndColumn   int    `json:"end_column,omitempty"`
	Message     string `json:"message"`
	Help        string `json:"help,omitempty"`
	HelpURL     string `json:"help_url,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Frame       string `json:"frame,omitempty"`
}

type allowedDoc struct {
	Finding findingDoc `json:"finding"`
	Reason  string     `json:"reason"`
	Expires string     `json:"expires"`
}

type metricDoc struct {
	Name      string           `json:"name"`
	Value     *float64         `json:"value"`
	Unit      string           `json:"unit,omitempty"`
	Threshold *float64         `json:"threshold,omitempty"`
	Direction engine.Direction `json:"direction,omitempty"`
	Met       bool             `json:"met"`
	Help      string           `json:"help,omitempty"`
}

type tableDoc struct {
	Title   string      `json:"title"`
	Columns []string    `json:"columns"`
	Rows    [][]string  `json:"rows"`
	Spreads []spreadDoc `json:"spreads,omitempty"`
}

type spreadDoc struct {
	Shares   []*float64 `json:"shares"`
	Baseline []*float64 `json:"baseline,omitempty"`
	Low      string     `json:"low"`
	High     string     `json:"high"`
}
