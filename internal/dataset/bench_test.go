package dataset

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// features is the contract of a generated file of 17 columns: a key of two, fourteen measurements and a label.
func features() *contract.Contract {
	plain := contract.Field{DecimalChar: '.', BareNumber: true, MinLength: -1, MaxLength: -1}
	field := func(name string, typ contract.Type, change func(*contract.Field)) contract.Field {
		f := plain
		f.Name, f.Type, f.Format = name, typ, "default"
		if change != nil {
			change(&f)
		}
		return f
	}
	c := &contract.Contract{
		File: "data/schemas/features.yaml", Name: "features", Encoding: "utf-8",
		Dialect: contract.DefaultDialect(),
		Schema:  contract.Schema{MissingValues: []string{""}, PrimaryKey: []string{"meter_id", "reading_date"}},
		Quality: contract.Quality{MinRows: 1, MaxDuplicateShare: 0, MaxNullShare: map[string]float64{}},
	}
	c.Schema.Fields = append(c.Schema.Fields,
		field("meter_id", contract.TypeString, func(f *contract.Field) { f.Required = true }),
		field("reading_date", contract.TypeDatetime, func(f *contract.Field) {
			f.Required, f.Minimum, f.Maximum = true, "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"
		}))
	for i := range 14 {
		c.Schema.Fields = append(c.Schema.Fields, field(fmt.Sprintf("feature_%d", i), contract.TypeNumber, func(f *contract.Field) {
			f.Required, f.Minimum, f.Maximum = true, "-1000", "1000"
		}))
		c.Quality.MaxNullShare[fmt.Sprintf("feature_%d", i)] = 0
	}
	c.Schema.Fields = append(c.Schema.Fields, field("status", contract.TypeString, func(f *contract.Field) {
		f.Enum = []string{"ok", "estimated", "fault"}
	}))
	return c
}

func writeFeatures(tb testing.TB, rows int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "features.csv")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Fprint(w, "meter_id,reading_date")
	for i := range 14 {
		fmt.Fprintf(w, ",feature_%d", i)
	}
	fmt.Fprintln(w, ",status")
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	var line []byte
	for i := range rows {
		line = fmt.Appendf(line[:0], "MTR-%04d,%s", i/8760, start.Add(time.Duration(i%8760)*time.Hour).Format(time.RFC3339))
		for j := range 14 {
			line = fmt.Appendf(line, ",%.*f", j%4+1, random.NormFloat64()*100)
		}
		line = append(append(line, ","...), []string{"ok", "ok", "ok", "estimated", "fault"}[random.IntN(5)]...)
		line = append(line, '\n')
		w.Write(line)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := file.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func BenchmarkValidate(b *testing.B) {
	const rows = 200_000
	path := writeFeatures(b, rows)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(info.Size())
			b.ReportAllocs()
			for b.Loop() {
				result, err := Validate(b.Context(), features(), path, Options{Workers: workers})
				if err != nil {
					b.Fatal(err)
				}
				if result.Total() != 0 || result.Rows != rows {
					b.Fatalf("%d rows, %+v", result.Rows, result.Findings)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows/17, "ns/cell")
		})
	}
}
