package profile

// A Profile is the columns of one data set.
type Profile struct {
	Rows    int64     `json:"rows"`
	Columns []Summary `json:"columns"`
}

// Column returns the one of that name, or nil.
func (p *Profile) Column(name string) *Summary {
	for i := range p.Columns {
		if p.Columns[i].Name == name {
			return &p.Columns[i]
		}
	}
	return nil
}

// A Summary says how one column's values lie.
type Summary struct {
	Name          string `json:"name"`
	Kind          Kind   `json:"kind"`
	Count         int64  `json:"count"` // of values that are not missing
	Nulls         int64  `json:"nulls"`
	Infinite      int64  `json:"infinite,omitempty"` // values that are in Count and in nothing else
	Distinct      int64  `json:"distinct"`
	DistinctExact bool   `json:"distinct_exact"`
	// Numbers is for all kinds but text, Texts for texts. Both are absent if there is no value.
	Numbers *Numbers `json:"numbers,omitempty"`
	Texts   *Texts   `json:"texts,omitempty"`
	// Distribution is what drift needs of a baseline. It is absent for texts, whose Frequent values are all that it needs.
	Distribution *Distribution `json:"distribution,omitempty"`

	full  distribution // of today's values, in full; empty if the summary was read from a file
	texts []Value      // likewise
}

// Numbers describes numbers. Times are seconds since 1970, booleans 0 and 1.
type Numbers struct {
	Min       float64    `json:"min"`
	Max       float64    `json:"max"`
	Mean      float64    `json:"mean"`
	Deviation float64    `json:"deviation"` // standard deviation of a sample (n-1)
	Quantiles []Quantile `json:"quantiles"` // at 1, 5, 25, 50, 75, 95 and 99 %
	Histogram Histogram  `json:"histogram"`
}

// A Quantile is the smallest value that this share of all values does not exceed; within a thousandth of itself when
// there are many distinct values.
type Quantile struct {
	Share float64 `json:"share"`
	Value float64 `json:"value"`
}

// A Histogram is for a picture: bins of equal width from Low to High. What lies outside, at most one in 200 values on
// each side, is in the outermost bins.
type Histogram struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Counts []int64 `json:"counts"`
}

// Texts describes texts. Lengths are in characters.
type Texts struct {
	Shortest   int     `json:"shortest"`
	Longest    int     `json:"longest"`
	MeanLength float64 `json:"mean_length"`
	// Frequent are the ten most frequent values, shortened, the most frequent first; none when there are more than
	// 1,000 distinct ones.
	Frequent []Value `json:"frequent,omitempty"`
}

// A Value is a text and how often it occurs.
type Value struct {
	Text  string `json:"text"`
	Count int64  `json:"count"`
}

// A Distribution is a cumulative distribution in steps: Count[i] values are above Upper[i-1] and up to Upper[i].
type Distribution struct {
	// Exact says that there are no other values than those in Upper.
	Exact bool      `json:"exact"`
	Upper []float64 `json:"upper"`
	Count []int64   `json:"count"`
}
