package registrytest

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/tool/debtest"
)

// find returns the registry's program.
func find(t testing.TB) string {
	t.Helper()
	program, _ := debtest.Find(t, debtest.Program{Path: "usr/bin/docker-registry", Packages: []string{"docker-registry"}})
	return program
}
