package fails

import "testing"

func TestFails(t *testing.T) {
	t.Run("a case", func(t *testing.T) {
		t.Errorf("got 1, want 2\nand a second line")
	})
	t.Run("fine", func(*testing.T) {})
}
