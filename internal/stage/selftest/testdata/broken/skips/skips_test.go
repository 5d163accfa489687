package skips

import "testing"

func TestSkips(t *testing.T) {
	t.Skip("the moon is not full")
}
