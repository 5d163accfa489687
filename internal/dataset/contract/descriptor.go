package contract

import "github.com/meter-ml/meter-pipeline/internal/strict"

// descriptor is a contract as it stands in the file. A key that is not here is an error; docs/data-contracts.md
// explains each, and a test keeps it complete. Pointers tell a value that is not given from its zero.
type descriptor struct {
	Name        string    `yaml:"name"`
	Type        string    `yaml:"type"`
	Profile     string    `yaml:"profile"`
	Title       string    `yaml:"title"`
	Description string    `yaml:"description"`
	Homepage    string    `yaml:"homepage"`
	Licenses    []license `yaml:"licenses"`
	Sources     []source  `yaml:"sources"`

	Path              string `yaml:"path"`
	DirectoryVariable string `yaml:"directoryVariable"`
	Format            string `yaml:"format"`
	Mediatype         string `yaml:"mediatype"`
	Encoding          string `yaml:"encoding"`
	Compression       string `yaml:"compression"`

	Dialect dialect `yaml:"dialect"`
	Schema  schema  `yaml:"schema"`
	Quality quality `yaml:"quality"`
}

type license struct {
	Name  string `yaml:"name"`
	Path  string `yaml:"path"`
	Title string `yaml:"title"`
}

type source struct {
	Title string `yaml:"title"`
	Path  string `yaml:"path"`
	Email string `yaml:"email"`
}

type dialect struct {
	Delimiter        *string `yaml:"delimiter"`
	LineTerminator   *string `yaml:"lineTerminator"`
	QuoteChar        *string `yaml:"quoteChar"`
	DoubleQuote      *bool   `yaml:"doubleQuote"`
	EscapeChar       *string `yaml:"escapeChar"`
	CommentChar      *string `yaml:"commentChar"`
	SkipInitialSpace bool    `yaml:"skipInitialSpace"`
	Header           *bool   `yaml:"header"`
}

type schema struct {
	Fields        []field      `yaml:"fields"`
	MissingValues *[]string    `yaml:"missingValues"`
	PrimaryKey    strict.Names `yaml:"primaryKey"`
	ForeignKeys   []foreignKey `yaml:"foreignKeys"`
}

type field struct {
	Name        string         `yaml:"name"`
	Title       string         `yaml:"title"`
	Description string         `yaml:"description"`
	Type        string         `yaml:"type"`
	Format      string         `yaml:"format"`
	Unit        string         `yaml:"unit"`
	Example     *strict.Scalar `yaml:"example"`
	DecimalChar *string        `yaml:"decimalChar"`
	GroupChar   *string        `yaml:"groupChar"`
	BareNumber  *bool          `yaml:"bareNumber"`
	TrueValues  []string       `yaml:"trueValues"`
	FalseValues []string       `yaml:"falseValues"`
	Constraints constraints    `yaml:"constraints"`
}

type constraints struct {
	Required  bool            `yaml:"required"`
	Unique    bool            `yaml:"unique"`
	Minimum   *strict.Scalar  `yaml:"minimum"`
	Maximum   *strict.Scalar  `yaml:"maximum"`
	MinLength *int            `yaml:"minLength"`
	MaxLength *int            `yaml:"maxLength"`
	Pattern   *string         `yaml:"pattern"`
	Enum      []strict.Scalar `yaml:"enum"`
}

type foreignKey struct {
	Fields    strict.Names `yaml:"fields"`
	Reference reference    `yaml:"reference"`
}

type reference struct {
	Resource string       `yaml:"resource"`
	Fields   strict.Names `yaml:"fields"`
}

type quality struct {
	Rows       rows               `yaml:"rows"`
	Nulls      map[string]float64 `yaml:"nulls"`
	Duplicates *float64           `yaml:"duplicates"`
	Shares     []share            `yaml:"shares"`
	Constant   []string           `yaml:"constant"`
	Rules      []rule             `yaml:"rules"`
	Freshness  *freshness         `yaml:"freshness"`
	Interval   *interval          `yaml:"interval"`
	Drift      *drift             `yaml:"drift"`
	Leak       *leak              `yaml:"leak"`
}

type rows struct {
	Minimum *int64 `yaml:"minimum"`
	Maximum *int64 `yaml:"maximum"`
}

type share struct {
	Field string        `yaml:"field"`
	Value strict.Scalar `yaml:"value"`
	Share *float64      `yaml:"share"`
}

type rule struct {
	Name        string `yaml:"name"`
	Expression  string `yaml:"expression"`
	Description string `yaml:"description"`
}

type freshness struct {
	Field  string          `yaml:"field"`
	Within strict.Duration `yaml:"within"`
}

type interval struct {
	Time  strict.Names    `yaml:"time"`
	By    strict.Names    `yaml:"by"`
	Every strict.Duration `yaml:"every"`
	Gaps  float64         `yaml:"gaps"`
}

type drift struct {
	Baseline string   `yaml:"baseline"`
	Fields   []string `yaml:"fields"`
	PSI      *float64 `yaml:"psi"`
	KS       *float64 `yaml:"ks"`
}

type leak struct {
	Target        string      `yaml:"target"`
	Features      []string    `yaml:"features"`
	Exclude       []exclusion `yaml:"exclude"`
	Determination *float64    `yaml:"determination"`
}

type exclusion struct {
	Field  string `yaml:"field"`
	Reason string `yaml:"reason"`
}
