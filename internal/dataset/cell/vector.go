package cell

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// State of a cell in a column.
const (
	Present = iota
	Missing
	Wrong // is no value of the field's type
)

// A Column is where the cells of one column stand: the i-th is Data[Start[i*Step]:End[i*Step]]. One that starts behind its
// end is missing.
type Column struct {
	Data       []byte
	Start, End []uint32
	Step       int
}

// Cell is the i-th one.
func (c *Column) Cell(i int) []byte { return c.Data[c.Start[i*c.Step]:c.End[i*c.Step]] }

// Has says whether there is an i-th cell at all.
func (c *Column) Has(i int) bool { return c.Start[i*c.Step] <= c.End[i*c.Step] }

// Floats reads a column of kind Float into numbers, as many as they are; NaN where there is no value, for which state
// gives the reason. State must be all Present before. It returns how many are not.
func (p *Parser) Floats(c *Column, numbers []float64, state []uint8) (odd int) {
	quick := p.quick()
	for i := 0; i < len(numbers); i++ {
		if quick {
			if i += c.words(i, numbers[i:], p.typ == contract.TypeInteger); i == len(numbers) {
				break
			}
		}
		s, e := c.Start[i*c.Step], c.End[i*c.Step]
		if s > e || p.missing.has(c.Data[s:e]) {
			numbers[i], state[i] = math.NaN(), Missing
			odd++
			continue
		}
		v, ok := p.Float(c.Data[s:e])
		if !ok {
			v, state[i] = math.NaN(), Wrong
			odd++
		}
		numbers[i] = v
	}
	return odd
}

// quick says whether a text of up to eight bytes that is a plain number is that number.
func (p *Parser) quick() bool {
	return p.number.plain && !p.missing.numeric && (p.typ == contract.TypeNumber || p.typ == contract.TypeInteger)
}

const (
	ones   = 0x0101010101010101
	zeros  = '0' * ones
	points = '.' * ones
	most   = 8 // bytes that are read at once
)

// words reads cells of up to eight bytes, from the first-th on, until there is one that it can't read; it returns how many
// it has read. It accepts [-]digits[.digits].
//
// Each cell is the upper bytes of a word (the last character is the highest byte), and is read without a look at single
// ones: a branch that depends on a number's length is guessed wrong half of the time, which takes longer than all of this.
func (c *Column) words(first int, numbers []float64, integer bool) int {
	powers := [most]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}
	data, start, end, step := c.Data, c.Start[first*c.Step:], c.End[first*c.Step:], c.Step
	at := 0
	for i := range numbers {
		e := int(end[at])
		n := e - int(start[at])
		at += step
		if uint(n-1) >= most || e < most || e > len(data) {
			return i
		}
		w := binary.LittleEndian.Uint64(data[e-most:])
		// The sign becomes a zero, and so does what stands before the cell.
		shift := uint(64 - 8*n)
		negative := uint64(0)
		if w>>(shift&63)&0xff == '-' {
			negative = 1
		}
		if shift += uint(negative) << 3; shift >= 64 {
			return i
		}
		below := uint64(1)<<(shift&63) - 1
		w = w&^below | zeros&below
		// The point is taken out: what stands before it moves up, and a zero comes in.
		fraction := uint(0)
		x := w ^ points
		if t := (x - ones) & ^x & (0x80 * ones); t != 0 {
			point := uint(bits.TrailingZeros64(t)) &^ 7 // its first bit, 0 to 56
			if integer || shift == 56 {                 // a point, or nothing but a point
				return i
			}
			fraction = (56 - point) >> 3
			before := uint64(1)<<(point&63) - 1
			w = w&^(before<<8|0xff) | w&before<<8 | '0'
		}
		// All are digits if the upper halves are 3, and stay so when 6 is added.
		if (w&(0xf0*ones))|((w+0x06*ones)&(0xf0*ones))>>4 != 0x33*ones {
			return i
		}
		// Pairs of digits are put together, then pairs of pairs (Lemire, simdjson).
		w -= zeros
		w = w*10 + w>>8
		w = (w&0x000000ff000000ff*(100+1000000<<32) + w>>16&0x000000ff000000ff*(1+10000<<32)) >> 32
		v := float64(w) / powers[fraction&(most-1)]
		numbers[i] = math.Float64frombits(math.Float64bits(v) | negative<<63) // also of zero
	}
	return len(numbers)
}

// Times reads a column of kind Time, as Floats does.
func (p *Parser) Times(c *Column, micros []int64, state []uint8) (odd int) {
	state = state[:len(micros)]
	for i := range micros {
		s, e := c.Start[i*c.Step], c.End[i*c.Step]
		if s > e || p.missing.has(c.Data[s:e]) {
			state[i] = Missing
			odd++
			continue
		}
		m, ok := p.moment(c.Data[s:e])
		if !ok {
			state[i] = Wrong
			odd++
		}
		micros[i] = m.micros
	}
	return odd
}
