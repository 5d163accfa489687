package contract

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// builder makes a contract of a descriptor, and reports what is impossible in it at the value's place.
type builder struct {
	*strict.Document
	c *Contract
}

// longestName bounds names of data sets and fields: they stand in paths and tables.
const longestName = 128

func (b *builder) resource(d *descriptor) {
	c := b.c
	c.Name, c.Title, c.Description, c.Path = d.Name, d.Title, d.Description, d.Path
	c.DirectoryVariable = d.DirectoryVariable
	// The standard allows slashes, too; ours is also a file's name.
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`).MatchString(d.Name) || len(d.Name) > longestName {
		b.Report("name", fmt.Sprintf("the data set's name is %q", d.Name), "use lower-case letters, digits, dots, hyphens and underscores")
	}
	b.path("path", d.Path)
	if d.DirectoryVariable != "" && !regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`).MatchString(d.DirectoryVariable) {
		b.Report("directoryVariable", fmt.Sprintf("%q is no name for a variable", d.DirectoryVariable), "use capital letters, digits and underscores")
	}
	b.oneOf("type", d.Type, "table")
	b.oneOf("profile", d.Profile, "tabular-data-resource", "data-resource")
	b.oneOf("format", d.Format, "csv", "tsv")
	b.oneOf("mediatype", d.Mediatype, "text/csv", "text/tab-separated-values")
	b.oneOf("compression", d.Compression, "gz")
	c.Encoding = b.encoding(d.Encoding)
	c.Compression = d.Compression
	if c.Compression == "" && strings.HasSuffix(strings.ToLower(d.Path), ".gz") {
		c.Compression = "gz"
	}
}

// encoding gives an encoding's one name: the standard wants those of IANA, frictionless-py those of Python, and only
// Python has a name for UTF-8 with a byte-order mark. We take both.
func (b *builder) encoding(name string) string {
	known := map[string]string{
		"": "utf-8", "utf-8": "utf-8", "utf8": "utf-8", "utf-8-sig": "utf-8-sig",
		"iso-8859-1": "iso-8859-1", "latin-1": "iso-8859-1", "latin1": "iso-8859-1",
		"windows-1252": "windows-1252", "cp1252": "windows-1252", "utf-16": "utf-16",
	}
	found, ok := known[strings.ToLower(name)]
	if !ok {
		b.Report("encoding", fmt.Sprintf("the encoding %q can't be read", name),
			strict.Suggest(name, []string{"utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16"}))
	}
	return found
}

// path refuses what leads out of the directory that it is relative to.
func (b *builder) path(key, path string) {
	switch {
	case path == "":
		b.Report(key, key+" is missing", "name the file, relative to the project's root")
	case strings.ContainsFunc(path, hidden) || strings.Contains(path, `\`):
		b.Report(key, fmt.Sprintf("%s is %q, with a backslash or a control character", key, path), "use plain names and slashes")
	case strings.Contains(path, "://"):
		b.Report(key, fmt.Sprintf("%s is the address %q", key, path), "fetch the file, and name its path")
	case !filepath.IsLocal(filepath.FromSlash(path)):
		b.Report(key, fmt.Sprintf("%s is %q, outside of the project", key, path), "name a relative path, without `..`; directoryVariable names another directory")
	}
}

// hidden tells what a terminal or a browser would obey or not show: control characters, and marks that turn the
// direction of the text around them.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// oneOf reports a value, if there is one, that is none of the valid ones.
func (b *builder) oneOf(key, value string, valid ...string) {
	if value != "" && !slices.Contains(valid, value) {
		b.Report(key, fmt.Sprintf("%s is %q", key, value), strict.Suggest(value, valid))
	}
}

// DefaultDialect is the standard's. (frictionless-py guesses what is not given; a guess is no contract.)
func DefaultDialect() Dialect {
	return Dialect{Delimiter: ',', QuoteChar: '"', DoubleQuote: true, Header: true}
}

func (b *builder) dialect(d *dialect, format string) {
	to := DefaultDialect()
	if format == "tsv" {
		to.Delimiter = '\t'
	}
	b.character("dialect.delimiter", d.Delimiter, &to.Delimiter, false)
	b.character("dialect.quoteChar", d.QuoteChar, &to.QuoteChar, true)
	b.character("dialect.escapeChar", d.EscapeChar, &to.EscapeChar, true)
	b.character("dialect.commentChar", d.CommentChar, &to.CommentChar, true)
	set(&to.DoubleQuote, d.DoubleQuote)
	set(&to.Header, d.Header)
	to.SkipInitialSpace = d.SkipInitialSpace
	if d.LineTerminator != nil && !slices.Contains([]string{"\n", "\r\n"}, *d.LineTerminator) {
		b.Report("dialect.lineTerminator", fmt.Sprintf("lines can't end with %q", *d.LineTerminator), `both "\n" and "\r\n" are read, whatever stands here`)
	}
	b.apart(to)
	b.c.Dialect = to
}

// character takes a single byte; an empty text switches a character off that may be.
func (b *builder) character(key string, text *string, to *byte, optional bool) {
	if text == nil {
		return
	}
	if *text == "" && optional {
		*to = 0
		return
	}
	if len(*text) != 1 || (*text)[0] >= 0x80 || strings.IndexByte("\r\n\x00", (*text)[0]) >= 0 {
		b.Report(key, fmt.Sprintf("%s is %q", key, *text), "give a single ASCII character that ends no line")
		return
	}
	*to = (*text)[0]
}

// apart reports characters of the dialect that can't be told from each other.
func (b *builder) apart(d Dialect) {
	keys := []string{"delimiter", "quoteChar", "escapeChar", "commentChar"}
	values := []byte{d.Delimiter, d.QuoteChar, d.EscapeChar, d.CommentChar}
	for i := range values {
		if first := slices.Index(values[:i], values[i]); first >= 0 && values[i] != 0 {
			b.Report("dialect."+keys[i], fmt.Sprintf("%s and %s are both %q", keys[first], keys[i], values[i]), "choose two characters")
		}
	}
	if d.SkipInitialSpace && d.Delimiter == ' ' {
		b.Report("dialect.skipInitialSpace", "skipInitialSpace would skip the delimiter", "remove it, or choose another delimiter")
	}
}

// set puts a value, if it is given, in the place of the default.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// constrains reports whether some file with the right columns could break the contract.
func constrains(c *Contract) bool {
	q := &c.Quality
	return slices.ContainsFunc(c.Schema.Fields, Field.constrains) ||
		len(c.Schema.PrimaryKey) > 0 || len(c.Schema.ForeignKeys) > 0 ||
		q.MinRows > 1 || q.MaxRows > 0 || q.boundsShares() || len(q.Rules) > 0 ||
		q.Freshness != nil || q.Interval != nil || q.Drift != nil || q.Leak != nil
}

func (f Field) constrains() bool {
	plain := (f.Type == TypeString || f.Type == TypeAny) && f.Format == "default"
	return !plain || f.Required || f.Unique || f.MinLength > 0 || f.MaxLength >= 0 || f.Pattern != "" || len(f.Enum) > 0
}

// boundsShares reports whether a share of rows is bounded at all: all of them is no bound.
func (q *Quality) boundsShares() bool {
	for _, share := range q.MaxNullShare {
		if share < 1 {
			return true
		}
	}
	return q.MaxDuplicateShare >= 0 && q.MaxDuplicateShare < 1 ||
		slices.ContainsFunc(q.MaxShare, func(s Share) bool { return s.Share < 1 })
}
