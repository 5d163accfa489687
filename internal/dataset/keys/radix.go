package keys

import "slices"

const (
	// Below these numbers of records the sorts that compare are faster than the one that counts.
	insertionMaximum = 24
	radixMinimum     = 192
	topShift         = 56
)

// scatter copies the records in the order of one byte of the key, and says where each value of it begins and ends. It
// is twice as fast as partition, which needs no second place.
func scatter(to, from []Record, shift uint, bounds *[parts + 1]uint32) {
	var next [parts]uint32
	for i := range from {
		next[byte(from[i].Key>>shift&0xff)]++
	}
	sum := uint32(0)
	for digit, count := range next {
		bounds[digit], next[digit] = sum, sum
		sum += count
	}
	bounds[parts] = sum
	for _, record := range from {
		digit := byte(record.Key >> shift & 0xff)
		to[next[digit]] = record
		next[digit]++
	}
}

// partition is the American flag sort by one byte (McIlroy, Bostic, McIlroy: Engineering Radix Sort, 1993): count, then
// let each record that is out of place push the next one, until the place where it began is filled.
func partition(records []Record, shift uint, bounds *[parts + 1]uint32) {
	var counts [parts]uint32
	for i := range records {
		counts[byte(records[i].Key>>shift&0xff)]++
	}
	var next, ends [parts]uint32
	sum := uint32(0)
	for digit, count := range counts {
		bounds[digit], next[digit] = sum, sum
		sum += count
		ends[digit] = sum
	}
	bounds[parts] = sum
	for digit := range parts {
		for next[digit] < ends[digit] {
			record := records[next[digit]]
			for {
				home := byte(record.Key >> shift & 0xff)
				if int(home) == digit {
					break
				}
				at := next[home]
				next[home]++
				record, records[at] = records[at], record
			}
			records[next[digit]] = record
			next[digit]++
		}
	}
}

// sortRecords sorts records whose keys are equal above the byte at shift.
func sortRecords(records []Record, shift uint) {
	switch {
	case len(records) <= insertionMaximum:
		insert(records)
		return
	case len(records) < radixMinimum:
		slices.SortFunc(records, compare)
		return
	}
	var bounds [parts + 1]uint32
	partition(records, shift, &bounds)
	sortParts(records, shift, &bounds)
}

// sortParts sorts what has the same byte at shift.
func sortParts(records []Record, shift uint, bounds *[parts + 1]uint32) {
	for digit := range parts {
		same := records[bounds[digit]:bounds[digit+1]]
		switch {
		case len(same) < 2:
		case shift == 0: // the keys are equal: only the rows are left
			slices.SortFunc(same, compare)
		default:
			sortRecords(same, shift-8)
		}
	}
}

func insert(records []Record) {
	for i := 1; i < len(records); i++ {
		record, at := records[i], i
		for at > 0 && record.less(records[at-1]) {
			records[at] = records[at-1]
			at--
		}
		records[at] = record
	}
}

func compare(a, b Record) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

// repeated moves the records whose key is not the only one of its value to the front, and returns them.
func repeated(sorted []Record) []Record {
	kept := 0
	for i := 0; i < len(sorted); {
		end := i + 1
		for end < len(sorted) && sorted[end].Key == sorted[i].Key {
			end++
		}
		if end-i > 1 {
			kept += copy(sorted[kept:], sorted[i:end])
		}
		i = end
	}
	return sorted[:kept]
}
