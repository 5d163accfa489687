package html

import (
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// A picture is drawn in these units, which the page scales.
const (
	pictureWidth  = 160
	pictureHeight = 32
)

// A picture is a small histogram: bars of today, and a line over them for the baseline.
type picture struct {
	Width, Height int
	Bars          []bar
	Line          string // points of the baseline's outline; empty if there is none
	Low, High     string
	Label         string // for those who don't see it
}

type bar struct{ X, Y, Width, Height string }

// newPicture scales both to the highest bin of either, so that they can be compared by eye.
func newPicture(row []string, s engine.Spread) *picture {
	if len(s.Shares) == 0 {
		return nil
	}
	p := &picture{Width: pictureWidth, Height: pictureHeight, Low: s.Low, High: s.High}
	top := report.Highest(s.Shares, s.Baseline)
	if top == 0 {
		return nil
	}
	width := pictureWidth / float64(len(s.Shares))
	for i, share := range s.Shares {
		if height := share / top * pictureHeight; height > 0 {
			height = max(height, 0.5) // what is rare is still there
			p.Bars = append(p.Bars, bar{unit(float64(i) * width), unit(pictureHeight - height), unit(width), unit(height)})
		}
	}
	var points []string
	for i, share := range s.Baseline {
		y := unit(pictureHeight - share/top*pictureHeight)
		points = append(points, unit(float64(i)*width)+","+y, unit(float64(i+1)*width)+","+y)
	}
	p.Line = strings.Join(points, " ")
	name := ""
	if len(row) > 0 {
		name = " of " + row[0]
	}
	p.Label = fmt.Sprintf("Distribution%s from %s to %s", name, s.Low, s.High)
	if p.Line != "" {
		p.Label += ", today as bars and the baseline as a line"
	}
	return p
}

func unit(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
