package data_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/data"
)

var update = flag.Bool("update", false, "write what is found to testdata")

// steel is the real file's lines, without line ends.
func steel(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("METER_DATA_DIR")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("METER_DATA_DIR is not set, and CI skips nothing")
		}
		t.Skip("METER_DATA_DIR is not set: it names the directory of steel_industry.csv")
	}
	content, err := os.ReadFile(filepath.Join(dir, "steel_industry.csv"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\r\n"), "\r\n")
}

// cell changes one cell; rows are numbered as a spreadsheet does.
func cell(lines []string, row, field int, change func(string) string) {
	cells := strings.Split(lines[row-1], ",")
	cells[field-1] = change(cells[field-1])
	lines[row-1] = strings.Join(cells, ",")
}

func to(value string) func(string) string { return func(string) string { return value } }

func column(lines []string, field int, change func(string) string) {
	for row := 2; row <= len(lines); row++ {
		cell(lines, row, field, change)
	}
}

// Fields of the steel data.
const (
	date = iota + 1
	usage
	lagging
	leading
	co2
	laggingFactor
	leadingFactor
	nsm
	weekStatus
	dayOfWeek
	loadType
)

// Each spoiled copy of the real steel data gives the findings that it deserves, and what follows from them; the golden
// file holds them.
func TestSpoiledCopiesOfTheSteelData(t *testing.T) {
	original := steel(t)
	var got strings.Builder
	for _, tc := range []struct {
		name  string
		spoil func(lines []string) []string
		raw   func(content string) string
	}{
		{name: "as it is"},
		{
			name:  "a word for a number",
			spoil: func(l []string) []string { cell(l, 101, leading, to("none")); return l },
		},
		{
			name:  "a cell is gone",
			spoil: func(l []string) []string { l[499] = l[499][:strings.LastIndexByte(l[499], ',')]; return l },
		},
		{
			name: "a row twice", spoil: func(l []string) []string { return slices.Insert(l, 700, l[699]) },
		},
		{
			name: "a share of more than the whole", spoil: func(l []string) []string { cell(l, 900, leadingFactor, to("173.2")); return l },
		},
		{
			name: "an unknown category", spoil: func(l []string) []string { cell(l, 1200, loadType, to("Middle_Load")); return l },
		},
		{
			name: "a column of another name", spoil: func(l []string) []string { cell(l, 1, nsm, to("Seconds")); return l },
		},
		{
			name: "two columns exchanged", spoil: func(l []string) []string {
				for row := range l {
					c := strings.Split(l[row], ",")
					c[leading-1], c[co2-1] = c[co2-1], c[leading-1]
					l[row] = strings.Join(c, ",")
				}
				return l
			},
		},
		{
			name: "a day is gone", spoil: func(l []string) []string { return slices.Delete(l, 1+96*40, 1+96*41) },
		},
		{
			name: "months before days", spoil: func(l []string) []string { cell(l, 3000, date, to("1/31/2018 5:45")); return l },
		},
		{
			name: "a meter that stands still", spoil: func(l []string) []string { column(l, leading, to("0")); return l },
		},
		{
			name: "a feature made of the target", spoil: func(l []string) []string {
				for row := 2; row <= len(l); row++ {
					kwh, err := strconv.ParseFloat(strings.Split(l[row-1], ",")[usage-1], 64)
					if err != nil {
						panic(err)
					}
					cell(l, row, leading, to(strconv.FormatFloat(2.5*kwh, 'f', 2, 64)))
				}
				return l
			},
		},
		{
			name: "another tariff: everything is a third more", spoil: func(l []string) []string {
				for row := 2; row <= len(l); row++ {
					c := strings.Split(l[row-1], ",")
					for _, field := range []int{usage, lagging, leading} {
						v, err := strconv.ParseFloat(c[field-1], 64)
						if err != nil {
							panic(err)
						}
						c[field-1] = strconv.FormatFloat(v*1.333, 'f', -1, 64)
					}
					l[row-1] = strings.Join(c, ",")
				}
				return l
			},
		},
		{
			name: "a byte of another encoding", raw: func(c string) string { return strings.Replace(c, "Light_Load", "Li\xe9ht_Load", 1) },
		},
		{
			name: "a byte of zero", raw: func(c string) string { return strings.Replace(c, "Weekday", "Week\x00day", 1) },
		},
		{
			name: "a quote that never ends", spoil: func(l []string) []string { cell(l, 20000, weekStatus, to(`"Weekday`)); return l },
		},
		{
			name: "torn in the middle", raw: func(c string) string { return c[:len(c)/2] },
		},
		{
			name: "no file content", raw: func(string) string { return "" },
		},
		{
			name: "the header only", spoil: func(l []string) []string { return l[:1] },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := slices.Clone(original)
			if tc.spoil != nil {
				lines = tc.spoil(lines)
			}
			content := strings.Join(lines, "\r\n") + "\r\n"
			if tc.raw != nil {
				content = tc.raw(content)
			}
			fmt.Fprintf(&got, "== %s\n", tc.name)
			for _, line := range abridged(judgeSteel(t, content)) {
				fmt.Fprintln(&got, line)
			}
		})
	}
	golden := filepath.Join("testdata", "spoiled.golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// abridged is a line a finding, and one line for those of a rule and column after the second.
func abridged(j engine.Judgement) []string {
	if len(j.Findings) == 0 {
		return []string{"nothing is wrong"}
	}
	var lines []string
	kinds := map[string]int{}
	for _, f := range j.Findings {
		_, rest, row := strings.Cut(f.Message, ", ")
		column, _, _ := strings.Cut(f.Message, ": ")
		if row && strings.HasPrefix(f.Message, "row ") {
			column, _, _ = strings.Cut(rest, ": ")
		}
		kind := f.Rule + " " + column
		if kinds[kind]++; kinds[kind] <= 2 {
			lines = append(lines, f.Rule+" | "+f.Message)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if more := kinds[kind] - 2; more > 0 {
			lines = append(lines, fmt.Sprintf("and %d more shown: %s", more, kind))
		}
	}
	return lines
}

func judgeSteel(t *testing.T, content string) engine.Judgement {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "steel_industry.csv"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{project: config.Default(root), artifacts: t.TempDir(), env: map[string]string{"METER_DATA_DIR": dir}}
	_, j, err := w.step(t, data.New(w.options()), "steel")
	if err != nil {
		t.Fatal(err)
	}
	return j
}
