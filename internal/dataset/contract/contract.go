// Package contract holds what a data set promises: a descriptor under data/schemas, read strictly.
//
// A descriptor is a Tabular Data Resource with a Table Schema and a CSV dialect (https://specs.frictionlessdata.io),
// written as YAML or JSON, plus two keys of ours: directoryVariable and quality. Every other tool of that ecosystem
// reads it too and leaves ours alone. Package dataset judges a file against it.
package contract

import (
	"time"
)

// A Contract is one descriptor: one data set.
type Contract struct {
	File string // of the descriptor, slash-separated, relative to the project's root

	Name        string
	Title       string
	Description string
	Path        string // of the data, slash-separated, relative to the project's root or to DirectoryVariable's directory
	// DirectoryVariable names the environment variable with the directory that Path is relative to. Where it is not
	// set, the data set is skipped, and this is the reason.
	DirectoryVariable string
	Encoding          string // utf-8, utf-8-sig (with a byte-order mark), iso-8859-1, windows-1252, utf-16
	Compression       string // "", "gz"
	Dialect           Dialect
	Schema            Schema
	Quality           Quality
}

// A Dialect says how the file is written. The zero value is not valid: see DefaultDialect.
type Dialect struct {
	Delimiter        byte // ','
	QuoteChar        byte // '"'; 0 for none
	DoubleQuote      bool // a quote in a quoted cell is written twice
	EscapeChar       byte // 0 for none
	CommentChar      byte // 0 for none
	SkipInitialSpace bool
	Header           bool // the first row names the columns
}

// A Schema says what the columns are.
type Schema struct {
	Fields        []Field
	MissingValues []string // cells that hold no value; the standard's default is the empty one
	PrimaryKey    []string // names of fields, unique together, none missing; empty if there is none
	ForeignKeys   []ForeignKey
}

// A Field is one column.
type Field struct {
	Name        string
	Title       string
	Description string
	Type        Type
	Format      string // "default", one of the type's, or, for dates and times, a pattern of strptime: see Directives
	Unit        string // ours, for people: kWh, °C

	DecimalChar byte // of numbers, '.'
	GroupChar   byte // of numbers and integers, 0 for none
	BareNumber  bool // of numbers and integers: nothing but the number stands in the cell
	TrueValues  []string
	FalseValues []string

	Required  bool
	Unique    bool
	Minimum   string // as written in a cell of this field, empty if there is none
	Maximum   string
	MinLength int      // -1 if there is none
	MaxLength int      // -1 if there is none
	Pattern   string   // as written; Regexp compiles it
	Enum      []string // as written in a cell of this field

	Line int // in the descriptor
}

// Type of a field, the standard's word.
type Type string

// Types of Table Schema that a contract can use. Object, array, geopoint and geojson are checked for their form only.
const (
	TypeString    Type = "string"
	TypeNumber    Type = "number"
	TypeInteger   Type = "integer"
	TypeBoolean   Type = "boolean"
	TypeDate      Type = "date"
	TypeTime      Type = "time"
	TypeDatetime  Type = "datetime"
	TypeYear      Type = "year"
	TypeYearMonth Type = "yearmonth"
	TypeDuration  Type = "duration"
	TypeObject    Type = "object"
	TypeArray     Type = "array"
	TypeGeopoint  Type = "geopoint"
	TypeGeojson   Type = "geojson"
	TypeAny       Type = "any"
)

// A ForeignKey says that these fields' values are a row of another data set, or of this one if Resource is empty.
type ForeignKey struct {
	Fields          []string
	Resource        string // name of a contract in the same directory
	ReferenceFields []string
	Line            int
}

// Quality is what the standard has no words for. Zero values ask for nothing unless said otherwise.
type Quality struct {
	MinRows int64 // at least 1: an empty data set never passes
	MaxRows int64 // 0: no limit
	// MaxNullShare is, by field, the share (0 to 1) of missing values that is allowed. A field that is not named may
	// miss all its values, but is then constant.
	MaxNullShare map[string]float64
	// MaxDuplicateShare is the share (0 to 1) of rows that equal an earlier one in every cell; negative asks for nothing.
	MaxDuplicateShare float64
	MaxShare          []Share
	Constant          []string // fields that may have one value only; any other constant column is a finding
	Rules             []Rule
	Freshness         *Freshness
	Interval          *Interval
	Drift             *Drift
	Leak              *Leak
	Line              int
}

// A Share bounds how often one value occurs.
type Share struct {
	Field string
	Value string  // as written in a cell
	Share float64 // 0 to 1, at the most
	Line  int
}

// A Rule is an expression over the fields of one row that must not be false; see package rule. A row where a value
// that it reads is missing is not judged by it.
type Rule struct {
	Name        string
	Expression  string
	Description string // what a person should know when it is broken
	Line        int
}

// Freshness asks for a latest value of a date or datetime field that is not older than Within.
type Freshness struct {
	Field  string
	Within time.Duration
	Line   int
}

// An Interval says that each meter has a value every so often.
type Interval struct {
	Time   []string // a date or datetime field, or a date field and a time field that are one moment together
	By     []string // the fields that tell one series from another; may be empty
	Every  time.Duration
	MaxGap float64 // the share (0 to 1) of intervals, between a series' first and last, that may be absent
	Line   int
}

// Drift compares each column's distribution with the stored baseline profile.
type Drift struct {
	Baseline string   // path of the stored profile, relative to the project's root
	Fields   []string // after Load never empty: those named, or every number, integer, boolean and enumerated field
	PSI      float64  // population stability index at the most, 0.2 by default
	KS       float64  // Kolmogorov-Smirnov distance at the most, 0.1 by default
	Line     int
}

// Leak asks whether a feature, or a product or ratio of two, determines the target.
type Leak struct {
	Target   string
	Features []string    // after Load never empty: those named, or every other number and integer that is not excluded
	Exclude  []Exclusion // known to determine the target, and therefore no features
	// Determination is the coefficient of determination (R², 0 to 1) of the target from which on a feature leaks it;
	// 0.99 by default.
	Determination float64
	Line          int
}

// An Exclusion says why a column is not a feature.
type Exclusion struct {
	Field  string
	Reason string
	Line   int
}
