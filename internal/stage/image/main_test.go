package image

import (
	"fmt"
	"os"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

// machine has the container engine of this package's tests.
var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
