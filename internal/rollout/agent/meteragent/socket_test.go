package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A socket whose server has gone is noticed, one that answers or comes back in time is not.
func TestAnswering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.sock")
	listen := func() net.Listener {
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	first := listen()
	ctx, stop := answering(t.Context(), path, 300*time.Millisecond, 10*time.Millisecond)
	defer stop()
	time.Sleep(500 * time.Millisecond)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	second := listen()
	time.Sleep(500 * time.Millisecond)
	if ctx.Err() != nil {
		t.Fatal("it ended though the socket answers: ", context.Cause(ctx))
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
	}
	if !errors.Is(context.Cause(ctx), errRefusing) {
		t.Error(context.Cause(ctx))
	}
}
