package builds

import "testing"

func TestBuilds(*testing.T) {
	var s string = 1
}
