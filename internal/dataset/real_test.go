package dataset

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

const root = "../.."

// The shipped sample and the real files are judged against their committed contracts.
func TestRealFiles(t *testing.T) {
	all, err := contract.LoadAll(root, "data/schemas")
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) (*contract.Contract, string, error) {
		for _, c := range all {
			if c.Name == name {
				return c, filepath.Join(root, c.Path), nil
			}
		}
		return nil, "", os.ErrNotExist
	}
	for _, c := range all {
		if c.Name == "features" { // the data stage has it made, and judges it in every check
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			path := filepath.Join(root, filepath.FromSlash(c.Path))
			if c.DirectoryVariable != "" {
				dir := os.Getenv(c.DirectoryVariable)
				if dir == "" {
					if os.Getenv("CI") != "" {
						t.Fatalf("%s is not set, and CI skips nothing", c.DirectoryVariable)
					}
					t.Skipf("%s is not set", c.DirectoryVariable)
				}
				path = filepath.Join(dir, filepath.FromSlash(c.Path))
			}
			began := time.Now()
			r, err := Validate(t.Context(), c, path, Options{Root: root, Now: now, Open: open})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d rows, %d bytes, %s", r.Rows, r.Bytes, time.Since(began))
			for _, line := range lines(r) {
				t.Log(line)
			}
			if n := r.Total(); n > 0 {
				t.Errorf("%d findings", n)
			}
		})
	}
}
