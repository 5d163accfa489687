package report

import "strings"

// Highest returns the largest of all shares, 0 if there is none.
func Highest(spreads ...[]float64) float64 {
	top := 0.0
	for _, shares := range spreads {
		for _, share := range shares {
			top = max(top, share)
		}
	}
	return top
}

// Bars draws a spread in one line of text, a character a bin. What is rare is still seen.
func Bars(shares []float64) string {
	glyphs := []rune("▁▂▃▄▅▆▇█")
	top := Highest(shares)
	var b strings.Builder
	for _, share := range shares {
		if share <= 0 || top == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(glyphs[min(int(share/top*float64(len(glyphs))), len(glyphs)-1)])
	}
	return b.String()
}
