package passes

import "testing"

func TestPasses(t *testing.T) {
	t.Run("sub", func(*testing.T) {})
}
