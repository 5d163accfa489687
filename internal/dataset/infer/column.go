package infer

import (
	"math"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
)

// A column is what the cells under one name have in common, over the whole file.
type column struct {
	name  string
	cells int64

	tokens  map[string]int64 // cells that look like a missing value
	integer bool
	number  bool
	padded  bool // a number begins with a zero that stands for nothing: it is a label
	low     float64
	high    float64
	times   []reading // that all cells have fitted so far
	truths  []truth
	texts   *profile.Column
	longest int

	kind        contract.Type // from settle on
	format      string
	ambiguous   string // another format that fits as well
	trueValues  []string
	falseValues []string
	enum        []string
	missing     int64
	unique      bool
	parser      *cell.Parser
}

// A reading is a way to read times.
type reading struct {
	kind   contract.Type
	format string
	parser *cell.Parser
}

// A truth is a pair of words for true and false.
type truth struct{ yes, no string }

// looksMissing are the cells that usually hold no value.
func looksMissing() []string {
	return []string{"", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-"}
}

func newColumn(name string) *column {
	c := &column{
		name: name, tokens: map[string]int64{}, integer: true, number: true,
		low: math.Inf(1), high: math.Inf(-1), texts: profile.NewColumn(profile.Text),
		truths: []truth{{"true", "false"}, {"TRUE", "FALSE"}, {"True", "False"}, {"yes", "no"}, {"Yes", "No"}, {"Y", "N"}, {"y", "n"}},
	}
	for _, r := range []struct {
		kind    contract.Type
		formats []string
	}{
		{contract.TypeDatetime, []string{
			"", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%z",
			"%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
			"%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
		}},
		{contract.TypeDate, []string{"", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y"}},
		{contract.TypeTime, []string{"", "%H:%M"}},
	} {
		for _, format := range r.formats {
			if parser, err := cell.Compile(contract.Field{Type: r.kind, Format: format}, nil); err == nil {
				c.times = append(c.times, reading{r.kind, format, parser})
			}
		}
	}
	return c
}

func (c *column) add(b []byte) {
	c.cells++
	if len(b) <= 4 && slices.Contains(looksMissing(), string(b)) {
		c.tokens[string(b)]++
		return
	}
	c.texts.Text(b)
	c.longest = max(c.longest, len(b))
	if c.number {
		c.addNumber(b)
	}
	c.times = slices.DeleteFunc(c.times, func(r reading) bool {
		_, ok := r.parser.Time(b)
		return !ok
	})
	c.truths = slices.DeleteFunc(c.truths, func(t truth) bool { return t.yes != string(b) && t.no != string(b) })
}

func (c *column) addNumber(b []byte) {
	v, ok := cell.ParseFloat(b)
	if !ok || math.IsInf(v, 0) {
		c.integer, c.number = false, false
		return
	}
	if c.integer {
		_, c.integer = cell.ParseInteger(b)
	}
	digits := b
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		digits = b[1:]
	}
	c.padded = c.padded || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'
	c.low, c.high = min(c.low, v), max(c.high, v)
}

// settle decides what the column is. Whether a text is missing is for settleText.
func (c *column) settle() {
	for _, n := range c.tokens {
		c.missing += n
	}
	switch {
	case c.cells == c.missing:
		c.kind = contract.TypeString
	case c.number && !c.padded && c.integer:
		c.kind = contract.TypeInteger
	case c.number && !c.padded:
		c.kind = contract.TypeNumber
	case len(c.times) > 0:
		c.kind, c.format = c.times[0].kind, c.times[0].format
		for _, other := range c.times[1:] {
			if c.format != "" && other.kind == c.kind {
				c.ambiguous = other.format
			}
		}
	case len(c.truths) > 0:
		c.kind = contract.TypeBoolean
		c.trueValues, c.falseValues = []string{c.truths[0].yes}, []string{c.truths[0].no}
	default:
		c.kind = contract.TypeString
	}
}

// finish needs what is missing in the whole file.
func (c *column) finish(rows int64, missing []string) error {
	if c.kind == contract.TypeString && c.cells > c.missing {
		c.settleText(missing)
	}
	present := c.cells - c.missing
	distinct, exact := c.texts.Distinct()
	c.unique = present == rows && (distinct == present || (!exact && float64(distinct) > 0.9*float64(present)))
	var err error
	c.parser, err = cell.Compile(c.field(), nil)
	return err
}

// settleText takes the values as a list if they are few and come often. In a text NA may be Namibia, unless another
// column says that it is not: what is missing is so in all columns of a file.
func (c *column) settleText(missing []string) {
	const few, often = 20, 10
	c.missing = 0
	for token, n := range c.tokens {
		if slices.Contains(missing, token) {
			c.missing += n
		}
	}
	values, ok := c.texts.Frequent(few + 1)
	if !ok || len(values) > few || c.cells-c.missing < often*int64(len(values)) {
		return
	}
	for _, v := range values {
		c.enum = append(c.enum, v.Text)
	}
	for token := range c.tokens {
		if !slices.Contains(missing, token) {
			c.enum = append(c.enum, token)
		}
	}
	slices.Sort(c.enum)
}
