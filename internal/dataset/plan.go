package dataset

import (
	"fmt"
	"hash/maphash"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/dataset/rule"
)

// A plan is a contract made ready to be checked. Nothing in it changes once the header was read.
type plan struct {
	contract *contract.Contract
	columns  []*column // of the contract's fields, in its order
	width    int       // cells that a row must have: as many as the header has labels
	judged   int       // columns that the file has: the first ones
	keys     []*keySpec
	foreign  []*foreignKey
	rules    []*rowRule
	needed   []bool // columns whose values outlive their own checks, for rules, series and leaks
	series   *seriesSpec
	leak     *leakSpec
	// seed of the hashes of texts. It differs from run to run, so that nobody can write a file of equal hashes; nothing
	// that is found depends on it, since equal hashes are verified.
	seed maphash.Seed
}

// A column is one field and its checks.
type column struct {
	index   int
	field   *contract.Field
	parser  *cell.Parser
	kind    cell.Kind
	profile profile.Kind

	low, high         float64 // of kind Float; infinite where there is no bound
	earliest, latest  int64   // of kind Time
	lowCell, highCell []byte  // as the contract has them; nil where there is no bound
	shortBounds       bool    // float64 tells the bounds apart from every other short number
	pattern           *regexp.Regexp
	enum              map[string]bool // canonical forms
	shares            []share
}

// A share is a value whose frequency is bounded.
type share struct {
	*contract.Share
	text   []byte
	number float64
	micros int64
}

func newPlan(c *contract.Contract) (*plan, error) {
	p := &plan{contract: c, needed: make([]bool, len(c.Schema.Fields)), seed: maphash.MakeSeed()}
	for i := range c.Schema.Fields {
		col, err := newColumn(i, &c.Schema.Fields[i], c.Schema.MissingValues)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", c.File, c.Schema.Fields[i].Line, err)
		}
		p.columns = append(p.columns, col)
	}
	p.width, p.judged = len(p.columns), len(p.columns)
	for i := range c.Quality.MaxShare {
		if err := p.addShare(&c.Quality.MaxShare[i]); err != nil {
			return nil, err
		}
	}
	if err := p.addRules(); err != nil {
		return nil, err
	}
	p.addKeys()
	return p, nil
}

func newColumn(index int, f *contract.Field, missing []string) (*column, error) {
	parser, err := cell.Compile(*f, missing)
	if err != nil {
		return nil, err
	}
	c := &column{
		index: index, field: f, parser: parser, kind: parser.Kind(), profile: profileKind(f.Type),
		low: math.Inf(-1), high: math.Inf(1), earliest: math.MinInt64, latest: math.MaxInt64,
	}
	if err := c.addBounds(); err != nil {
		return nil, err
	}
	if f.Pattern != "" {
		// The standard's patterns match the whole cell.
		if c.pattern, err = regexp.Compile(`\A(?:` + f.Pattern + `)\z`); err != nil {
			return nil, fmt.Errorf("field %q: pattern: %w", f.Name, err)
		}
	}
	for _, value := range f.Enum {
		if !parser.Valid([]byte(value)) {
			return nil, fmt.Errorf("field %q: %q in its enum is no %s", f.Name, value, f.Type)
		}
		if c.enum == nil {
			c.enum = map[string]bool{}
		}
		c.enum[string(parser.AppendKey(nil, []byte(value)))] = true
	}
	return c, nil
}

func (c *column) addBounds() error {
	bounds := []struct {
		text   string
		cell   *[]byte
		number *float64
		micros *int64
	}{
		{c.field.Minimum, &c.lowCell, &c.low, &c.earliest},
		{c.field.Maximum, &c.highCell, &c.high, &c.latest},
	}
	c.shortBounds = true
	for _, b := range bounds {
		if b.text == "" {
			continue
		}
		*b.cell = []byte(b.text)
		c.shortBounds = c.shortBounds && cell.Short(*b.cell)
		ok := false
		switch c.kind {
		case cell.Float:
			*b.number, ok = c.parser.Float(*b.cell)
			c.shortBounds = c.shortBounds && !math.IsInf(*b.number, 0)
		case cell.Time:
			*b.micros, ok = c.parser.Time(*b.cell)
		case cell.Text:
		}
		if !ok {
			return fmt.Errorf("field %q: bound %q is no %s", c.field.Name, b.text, c.field.Type)
		}
	}
	return nil
}

func profileKind(t contract.Type) profile.Kind {
	switch t {
	case contract.TypeNumber, contract.TypeInteger, contract.TypeYear, contract.TypeTime:
		return profile.Number
	case contract.TypeBoolean:
		return profile.Boolean
	case contract.TypeDate, contract.TypeDatetime, contract.TypeYearMonth:
		return profile.Time
	default:
		return profile.Text
	}
}

// column returns the one of that name, or nil if the contract has none.
func (p *plan) column(name string) *column {
	i := slices.IndexFunc(p.columns, func(c *column) bool { return c.field.Name == name })
	if i < 0 {
		return nil
	}
	return p.columns[i]
}

// has says whether the file has all these fields. Those that it lacks are a finding of the header.
func (p *plan) has(columns ...*column) bool {
	return !slices.ContainsFunc(columns, func(c *column) bool { return c.index >= p.judged })
}

// find returns the columns of that names.
func (p *plan) find(what string, names []string) ([]*column, error) {
	var list []*column
	for _, name := range names {
		c := p.column(name)
		if c == nil {
			return nil, fmt.Errorf("%s: %s: there is no field %q", p.contract.File, what, name)
		}
		list = append(list, c)
	}
	return list, nil
}

func (p *plan) addShare(s *contract.Share) error {
	c := p.column(s.Field)
	if c == nil {
		return fmt.Errorf("%s:%d: there is no field %q", p.contract.File, s.Line, s.Field)
	}
	made := share{Share: s, text: []byte(s.Value)}
	ok := c.parser.Valid(made.text)
	switch c.kind {
	case cell.Float:
		made.number, ok = c.parser.Float(made.text)
	case cell.Time:
		made.micros, ok = c.parser.Time(made.text)
	case cell.Text:
	}
	if !ok {
		return fmt.Errorf("%s:%d: %q is no %s", p.contract.File, s.Line, s.Value, c.field.Type)
	}
	c.shares = append(c.shares, made)
	return nil
}

// A rowRule is a cross-field rule.
type rowRule struct {
	*contract.Rule
	compiled *rule.Rule
	columns  []*column
}

func (p *plan) addRules() error {
	fields := make([]rule.Field, len(p.columns))
	for i, c := range p.columns {
		fields[i] = rule.Field{Name: c.field.Name, Kind: ruleKind(c)}
	}
	for i := range p.contract.Quality.Rules {
		r := &p.contract.Quality.Rules[i]
		compiled, err := rule.Compile(r.Expression, fields)
		if err != nil {
			return fmt.Errorf("%s:%d: rule %s: %w", p.contract.File, r.Line, r.Name, err)
		}
		made := &rowRule{Rule: r, compiled: compiled}
		for _, f := range compiled.Fields() {
			p.needed[f] = true
			made.columns = append(made.columns, p.columns[f])
		}
		p.rules = append(p.rules, made)
	}
	return nil
}

func ruleKind(c *column) rule.Kind {
	switch {
	case c.field.Type == contract.TypeBoolean:
		return rule.Boolean
	case c.field.Type == contract.TypeString:
		return rule.Text
	case c.kind == cell.Float:
		return rule.Number
	case c.kind == cell.Time:
		return rule.Time
	default:
		return rule.None
	}
}

// joined names of columns, as findings about several have them.
func joined(columns []*column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.field.Name
	}
	return strings.Join(names, ", ")
}

// position of the only one of these columns, from 1, or 0.
func position(columns []*column) int {
	if len(columns) != 1 {
		return 0
	}
	return columns[0].index + 1
}
