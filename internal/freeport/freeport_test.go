package freeport

import (
	"net"
	"strconv"
	"testing"
)

// All are different, of the range that no system gives away by itself, and free.
func TestFindAll(t *testing.T) {
	ports, err := FindAll(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, port := range ports {
		found[port] = true
		if port < 20000 || port > 29999 {
			t.Errorf("found %d", port)
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("%d is not free: %v", port, err)
			continue
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
	if len(found) != 100 {
		t.Errorf("found %d different ones: %v", len(found), ports)
	}
}
