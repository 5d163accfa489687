package dataset

import (
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
)

// Options say with what means a file is judged; none of them changes what is found.
type Options struct {
	Root      string    // the project's directory, which a baseline's path is relative to
	Workers   int       // goroutines that parse and check; 0: one a core
	Memory    int64     // bytes that keys may take before they go to disk; 0: 32 MiB
	Keep      int       // findings kept for each rule and column, the first ones by row; 0: 20, at most 1,000. All are counted.
	Scratch   string    // directory for what does not fit into Memory; empty: the system's
	Now       time.Time // what freshness is measured against
	BlockSize int       // bytes read at a time; 0: 256 KiB
	// Progress, if not nil, is told from time to time how many bytes of the file are done.
	Progress func(done, total int64)
	// Open finds the contract that a foreign key names, and the path of its file.
	Open func(resource string) (*contract.Contract, string, error)
}

const (
	defaultMemory    = 32 << 20
	defaultKeep      = 20
	mostKept         = 1000 // what records keeps of each kind of problem in a block
	defaultBlockSize = 256 << 10
)

// A Result is what was found out about one file.
type Result struct {
	Rows     int64            // without the header
	Bytes    int64            // of the file
	Findings []Finding        // at most Options.Keep for each rule and column, by row, then field, then rule
	Counts   []Count          // of all findings, kept or not, by rule and column
	Measures []Measure        // what the quality block's rules measured, met or not
	Notes    []string         // what was not judged, and why
	Profile  *profile.Profile // of the contract's fields that the file has
}

// Total is the number of all findings, kept or not.
func (r *Result) Total() int64 {
	var n int64
	for _, c := range r.Counts {
		n += c.Total
	}
	return n
}

// Rules. Those of the table's form have the names of frictionless' error types, those of single values the names of the
// standard's constraints (frictionless: constraint-error, unique-error), and the others the names of the quality block.
const (
	RuleMissing        = "missing"
	RuleEmpty          = "empty"
	RuleMissingLabel   = "missing-label"
	RuleExtraLabel     = "extra-label"
	RuleIncorrectLabel = "incorrect-label"
	RuleDuplicateLabel = "duplicate-label"
	RuleBlankLabel     = "blank-label"
	RuleMissingCell    = "missing-cell"
	RuleExtraCell      = "extra-cell"
	RuleBlankRow       = "blank-row"
	RuleType           = "type-error"
	RuleRequired       = "required"
	RuleUnique         = "unique"
	RuleMinimum        = "minimum"
	RuleMaximum        = "maximum"
	RuleMinLength      = "minLength"
	RuleMaxLength      = "maxLength"
	RulePattern        = "pattern"
	RuleEnum           = "enum"
	RulePrimaryKey     = "primary-key"
	RuleForeignKey     = "foreign-key"
	RuleQuote          = "quote"
	RuleLineEnd        = "line-end"
	RuleNUL            = "nul"
	RuleEncoding       = "encoding"
	RuleTooLong        = "too-long"
	RuleByteOrderMark  = "byte-order-mark"
	RuleRows           = "rows"
	RuleNulls          = "nulls"
	RuleDuplicates     = "duplicates"
	RuleConstant       = "constant"
	RuleShare          = "share"
	RuleRule           = "rule"
	RuleFreshness      = "freshness"
	RuleInterval       = "interval"
	RuleGaps           = "gaps"
	RuleDrift          = "drift"
	RuleLeak           = "leak"
)

// A Finding says what is wrong with a file, and where.
type Finding struct {
	Rule    string // one of the constants
	Column  string // name of the field, of the key's fields, or of the cross-field rule; empty if it is about a whole row or file
	Field   int    // position of the field from 1; 0 if it is about no single one
	Row     int64  // as a spreadsheet numbers them: the header is row 1; 0 if it is about the whole file
	Line    int64  // physical line of the file where the row starts, from 1; 0 if it is about the whole file
	Value   string // shortened to 80 characters, control characters escaped
	Message string
	Help    string
}

// A Count says how often a rule is broken in a column.
type Count struct {
	Rule   string
	Column string
	Total  int64
}

// A Measure is a number that a rule of the quality block compares with a limit.
type Measure struct {
	Name   string // rows, null_share, duplicate_share, value_share, age_seconds, gap_share, psi, ks, determination
	Column string
	Value  float64
	Limit  float64
	Least  bool // the limit is a least one, otherwise a most one
}
