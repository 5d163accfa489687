package records_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

func ExampleOpen() {
	file, err := os.CreateTemp("", "*.csv")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	_, _ = file.WriteString("id,text\n1,\"a \"\"b\"\"\"\n2,\"c\"d\n")
	_ = file.Close()

	r, err := records.Open(file.Name(), records.Options{})
	if err != nil {
		panic(err)
	}
	for {
		b, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		b.Parse() // any goroutine can
		for record := range b.Records {
			fmt.Printf("%s | %s\n", b.Cell(record, 0), b.Cell(record, 1))
		}
		for _, p := range b.Problems {
			fmt.Printf("record %d, cell %d: %s\n", p.Record, p.Cell, p.Kind)
		}
		r.Release(b)
	}
	fmt.Println(r.Close())
	// Output:
	// id | text
	// 1 | a "b"
	// 2 | cd
	// record 2, cell 1: text-after-quote
	// <nil>
}
