package dashboard

import (
	"fmt"
	"math"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// A chart is drawn in these units, which the page stretches; its words stand beside it, so that they stay legible.
const (
	chartWidth  = 300
	chartHeight = 80
	// drawn is how many of the newest runs a chart shows, and listed how many the table behind it has.
	drawn  = 200
	listed = 12
)

// A chart is one series: its runs, their moving median and the band of that, and the threshold.
type chart struct {
	ID, Title, Last, Says string
	Width, Height         int
	Line, Median, Band    string // SVG paths
	Dot                   string // the newest point
	Limit                 string // y of the threshold; empty if it is far off
	High, Low             string // the edges of the picture
	From, To              string // dates
	Threshold             string
	Missed                bool
	Trend                 string // in words
	Worse                 bool
	Rows                  []chartRow
	Of                    int
}

type chartRow struct{ When, Run, Value, Band string }

// draw lays out a series; nil without a point.
func draw(id string, s trend.Series) *chart {
	if len(s.Points) == 0 {
		return nil
	}
	c := &chart{
		ID: id, Title: s.Name, Width: chartWidth, Height: chartHeight, Of: len(s.Points),
		Last: report.Number(s.Last(), s.Unit), Missed: !s.Met(s.Last()),
	}
	if s.Gate {
		c.Threshold = strings.ReplaceAll(string(s.Direction), "_", " ") + " " + report.Number(s.Threshold, s.Unit)
	}
	points := s.Points[max(0, len(s.Points)-drawn):]
	c.From, c.To = day(points[0].Time), day(points[len(points)-1].Time)
	low, high := extent(points)
	if s.Gate && near(s.Threshold, low, high) {
		low, high = min(low, s.Threshold), max(high, s.Threshold)
		c.Limit = "in"
	}
	low, high = padded(low, high)
	c.Low, c.High = report.Number(low, s.Unit), report.Number(high, s.Unit)
	y := func(v float64) string { return unit(chartHeight * (high - v) / (high - low)) }
	if c.Limit != "" {
		c.Limit = y(s.Threshold)
	}
	x := func(i int) string {
		if len(points) == 1 {
			return unit(chartWidth)
		}
		return unit(float64(i) / float64(len(points)-1) * chartWidth)
	}
	c.paths(points, x, y)
	c.words(s, points)
	return c
}

func (c *chart) paths(points []trend.Point, x func(int) string, y func(float64) string) {
	var line, median, upper strings.Builder
	var lower []string
	for i, p := range points {
		at := "L"
		if i == 0 {
			at = "M"
		}
		line.WriteString(at + x(i) + " " + y(p.Value))
		if p.Banded {
			at = "L"
			if upper.Len() == 0 {
				at = "M"
			}
			median.WriteString(at + x(i) + " " + y(p.Median))
			upper.WriteString(at + x(i) + " " + y(p.High))
			lower = append(lower, "L"+x(i)+" "+y(p.Low))
		}
	}
	c.Line = line.String()
	last := points[len(points)-1]
	c.Dot = "M" + x(len(points)-1) + " " + y(last.Value) + "h0"
	if len(lower) > 1 {
		for i := len(lower) - 1; i >= 0; i-- {
			upper.WriteString(lower[i])
		}
		c.Band, c.Median = upper.String()+"Z", median.String()
	}
}

func (c *chart) words(s trend.Series, points []trend.Point) {
	c.Says = fmt.Sprintf("%s in %s, from %s to %s: last %s", s.Name, report.Count(len(points), "runs"), c.From, c.To, c.Last)
	if last := points[len(points)-1]; last.Banded {
		c.Says += fmt.Sprintf(", median of the last %d between %s and %s", trend.Window, report.Number(last.Low, s.Unit), report.Number(last.High, s.Unit))
	}
	if change, ok := s.Lately(); ok {
		c.Worse = change.Worse
		c.Trend = changeWords(change)
	}
	for i := len(points) - 1; i >= max(0, len(points)-listed); i-- {
		p := points[i]
		row := chartRow{When: minute(p.Time), Run: p.Run, Value: report.Number(p.Value, s.Unit), Band: "–"}
		if p.Banded {
			row.Band = report.Number(p.Low, s.Unit) + " to " + report.Number(p.High, s.Unit)
		}
		c.Rows = append(c.Rows, row)
	}
}

// changeWords tell of a change only if it is one.
func changeWords(c trend.Change) string {
	if c.P >= trend.ChangeAlpha || math.Abs(c.Relative) < trend.ChangeMargin {
		return "steady"
	}
	way := "up"
	if c.Relative < 0 {
		way = "down"
	}
	return fmt.Sprintf("%s %.0f %% (p = %.1g)", way, 100*math.Abs(c.Relative), c.P)
}

func extent(points []trend.Point) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range points {
		low, high = min(low, p.Value), max(high, p.Value)
		if p.Banded {
			low, high = min(low, p.Low), max(high, p.High)
		}
	}
	return low, high
}

// near is true for a threshold that leaves the line enough of the picture.
func near(threshold, low, high float64) bool {
	span := max(high-low, math.Abs(high)/50)
	return threshold > low-2*span && threshold < high+2*span
}

// padded leaves room above and below; a line that does not move runs through the middle.
func padded(low, high float64) (float64, float64) {
	pad := (high - low) * 0.08
	if pad == 0 {
		pad = max(math.Abs(high)*0.05, 0.5)
	}
	if low >= 0 && low-pad < 0 {
		return 0, high + pad
	}
	return low - pad, high + pad
}

func unit(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
