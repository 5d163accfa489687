package contract

import (
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Thresholds where a contract gives none. Below a PSI of 0.1 nothing has happened, above 0.2 something has, by the
// usual reading of that index; a determination of 0.99 leaves the target an error of a tenth of its spread.
const (
	defaultPSI           = 0.2
	defaultKS            = 0.1
	defaultDetermination = 0.99
)

func (b *builder) quality(q *quality) {
	to := &b.c.Quality
	to.Line = b.Line("quality")
	b.rows(&q.Rows)
	b.nulls(q.Nulls)
	to.MaxDuplicateShare = -1
	if q.Duplicates != nil {
		to.MaxDuplicateShare = b.share("quality.duplicates", q.Duplicates)
	}
	for i := range q.Shares {
		b.maxShare(fmt.Sprintf("quality.shares[%d]", i), &q.Shares[i])
	}
	to.Constant = q.Constant
	b.fields("quality.constant", q.Constant)
	for i := range q.Rules {
		b.rule(fmt.Sprintf("quality.rules[%d]", i), &q.Rules[i])
	}
	b.freshness(q.Freshness)
	b.interval(q.Interval)
	b.drift(q.Drift)
	b.leak(q.Leak)
}

func (b *builder) rows(r *rows) {
	to := &b.c.Quality
	to.MinRows = 1
	set(&to.MinRows, r.Minimum)
	set(&to.MaxRows, r.Maximum)
	if to.MinRows < 1 {
		b.Report("quality.rows.minimum", fmt.Sprintf("the least number of rows is %d", to.MinRows), "choose 1 or more: an empty data set never passes")
	}
	if r.Maximum != nil && *r.Maximum < to.MinRows {
		b.Report("quality.rows.maximum", fmt.Sprintf("the most rows, %d, are fewer than the least, %d", *r.Maximum, to.MinRows), "exchange them")
	}
}

func (b *builder) nulls(shares map[string]float64) {
	b.c.Quality.MaxNullShare = shares
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		key, value := "quality.nulls."+name, shares[name]
		b.share(key, &value)
		f := b.known(key, name)
		if f != nil && value > 0 && (f.Required || slices.Contains(b.c.Schema.PrimaryKey, name)) {
			b.Report(key, fmt.Sprintf("the field %q is required, so no share of it may be missing", name), "remove one of the two")
		}
	}
}

// share takes a part of a whole.
func (b *builder) share(key string, value *float64) float64 {
	if value == nil {
		b.Report(key, key+" is missing", "give a share from 0 to 1")
		return 0
	}
	if math.IsNaN(*value) || *value < 0 || *value > 1 {
		remedy := "choose 0 to 1"
		if *value > 1 && *value <= 100 {
			remedy += fmt.Sprintf("; %v %% is %v", *value, *value/100)
		}
		b.Report(key, fmt.Sprintf("the share %s is %v", key, *value), remedy)
	}
	return *value
}

func (b *builder) maxShare(key string, s *share) {
	to := Share{Field: s.Field, Share: b.share(key+".share", s.Share), Line: b.Line(key)}
	if f := b.known(key+".field", s.Field); f != nil {
		if !b.Written(key + ".value") {
			b.Report(key, key+" has no value", "name the one whose share is bounded")
		} else if text, _, ok := b.value(key+".value", &s.Value, f); ok {
			to.Value = text
			if len(f.Enum) > 0 && !slices.Contains(f.Enum, text) {
				b.Report(key+".value", fmt.Sprintf("%q is not in the enum of the field %q", text, f.Name), strict.Suggest(text, f.Enum))
			}
		}
	}
	b.c.Quality.MaxShare = append(b.c.Quality.MaxShare, to)
}

// rule takes a rule as text; package rule reads the expression.
func (b *builder) rule(key string, r *rule) {
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(r.Name) || len(r.Name) > longestName {
		b.Report(key+".name", fmt.Sprintf("the rule's name is %q", r.Name), "use lower-case letters, digits and hyphens")
	}
	if strings.TrimSpace(r.Expression) == "" {
		b.Report(key+".expression", fmt.Sprintf("the rule %q has no expression", r.Name), "write what must hold in each row")
	}
	for _, other := range b.c.Quality.Rules {
		if other.Name == r.Name {
			b.Report(key+".name", fmt.Sprintf("two rules have the name %q", r.Name), "give each its own")
		}
	}
	b.c.Quality.Rules = append(b.c.Quality.Rules, Rule{Name: r.Name, Expression: r.Expression, Description: r.Description, Line: b.Line(key)})
}

func (b *builder) freshness(f *freshness) {
	if f == nil {
		return
	}
	b.typed("quality.freshness.field", f.Field, TypeDate, TypeDatetime)
	b.positive("quality.freshness.within", f.Within)
	b.c.Quality.Freshness = &Freshness{Field: f.Field, Within: f.Within.Std(), Line: b.Line("quality.freshness")}
}

func (b *builder) interval(i *interval) {
	if i == nil {
		return
	}
	key := "quality.interval"
	switch len(i.Time) {
	case 1:
		b.typed(key+".time", i.Time[0], TypeDate, TypeDatetime)
	case 2:
		b.typed(key+".time[0]", i.Time[0], TypeDate)
		b.typed(key+".time[1]", i.Time[1], TypeTime)
	default:
		b.Report(key+".time", fmt.Sprintf("%d fields tell the time", len(i.Time)), "name a date or datetime field, or a date field and a time field")
	}
	b.fields(key+".by", i.By)
	for n, name := range i.By {
		if slices.Contains(i.Time, name) {
			b.Report(element(key+".by", n, b), fmt.Sprintf("%q is the time itself", name), "name the fields that tell one series from another")
		}
	}
	b.positive(key+".every", i.Every)
	b.c.Quality.Interval = &Interval{
		Time: i.Time, By: i.By, Every: i.Every.Std(), MaxGap: b.share(key+".gaps", &i.Gaps), Line: b.Line(key),
	}
}

func (b *builder) drift(d *drift) {
	if d == nil {
		return
	}
	to := &Drift{Baseline: d.Baseline, Fields: d.Fields, PSI: defaultPSI, KS: defaultKS, Line: b.Line("quality.drift")}
	b.path("quality.drift.baseline", d.Baseline)
	if d.Baseline != "" && path.Ext(d.Baseline) != ".json" {
		b.Report("quality.drift.baseline", fmt.Sprintf("the baseline is %q", d.Baseline), "name a file that ends with .json; `mage data:baseline` writes it")
	}
	set(&to.PSI, d.PSI)
	set(&to.KS, d.KS)
	b.threshold("quality.drift.psi", to.PSI, math.MaxFloat64)
	b.threshold("quality.drift.ks", to.KS, 1)
	b.fields("quality.drift.fields", d.Fields)
	if len(d.Fields) == 0 {
		for _, f := range b.c.Schema.Fields {
			if f.Type == TypeNumber || f.Type == TypeInteger || f.Type == TypeBoolean || len(f.Enum) > 0 {
				to.Fields = append(to.Fields, f.Name)
			}
		}
	}
	if len(to.Fields) == 0 {
		b.Report("quality.drift", "no field can drift", "name some under fields")
	}
	b.c.Quality.Drift = to
}

func (b *builder) leak(l *leak) {
	if l == nil {
		return
	}
	to := &Leak{Target: l.Target, Features: l.Features, Determination: defaultDetermination, Line: b.Line("quality.leak")}
	set(&to.Determination, l.Determination)
	b.typed("quality.leak.target", l.Target, TypeNumber, TypeInteger)
	b.threshold("quality.leak.determination", to.Determination, 1)
	for i, name := range l.Features {
		b.typed(element("quality.leak.features", i, b), name, TypeNumber, TypeInteger)
	}
	b.distinct("quality.leak.features", append(slices.Clone(l.Features), l.Target))
	var excluded []string
	for i, e := range l.Exclude {
		key := fmt.Sprintf("quality.leak.exclude[%d]", i)
		b.typed(key+".field", e.Field, TypeNumber, TypeInteger)
		if strings.TrimSpace(e.Reason) == "" {
			b.Report(key, key+" has no reason", "say why the column is never a feature")
		}
		if slices.Contains(l.Features, e.Field) || slices.Contains(excluded, e.Field) || e.Field == l.Target {
			b.Report(key+".field", fmt.Sprintf("%q is a feature, the target, or excluded already", e.Field), "name it once")
		}
		excluded = append(excluded, e.Field)
		to.Exclude = append(to.Exclude, Exclusion{Field: e.Field, Reason: e.Reason, Line: b.Line(key)})
	}
	if len(l.Features) == 0 {
		for _, f := range b.c.Schema.Fields {
			if (f.Type == TypeNumber || f.Type == TypeInteger) && f.Name != l.Target && !slices.Contains(excluded, f.Name) {
				to.Features = append(to.Features, f.Name)
			}
		}
	}
	if len(to.Features) == 0 {
		b.Report("quality.leak", "no feature is left that could leak the target", "list some under features, or remove the block")
	}
	b.c.Quality.Leak = to
}

// typed reports a name that is no field's of one of these types.
func (b *builder) typed(key, name string, valid ...Type) {
	if name == "" {
		b.Report(key, key+" is missing", "name a field")
		return
	}
	f := b.known(key, name)
	if f != nil && !slices.Contains(valid, f.Type) {
		list := names(valid, func(t Type) string { return string(t) })
		b.Report(key, fmt.Sprintf("the field %q is of the type %s", name, f.Type), "it must be "+strings.Join(list, " or "))
	}
}

func (b *builder) positive(key string, d strict.Duration) {
	if d <= 0 {
		b.Report(key, fmt.Sprintf("%s is %s", key, time.Duration(d)), "choose a time above zero, such as 15m or 24h")
	}
}

// threshold must leave the rule able to fail.
func (b *builder) threshold(key string, value, most float64) {
	if math.IsNaN(value) || value <= 0 || value > most {
		remedy := "choose more than 0"
		if most == 1 {
			remedy += " and at most 1"
		}
		b.Report(key, fmt.Sprintf("%s is %v", key, value), remedy)
	}
}
