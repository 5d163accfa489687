package contract

import (
	"path/filepath"
	"testing"
)

// The repository's own contracts are the examples that people start from.
func TestOwnContracts(t *testing.T) {
	contracts, err := LoadAll(filepath.Join("..", "..", ".."), "data/schemas")
	if err != nil {
		t.Fatal(err)
	}
	if len(contracts) < 2 {
		t.Errorf("there are %d contracts", len(contracts))
	}
}
