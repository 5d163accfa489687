// Package freeport finds ports for servers that can't be told to find one by themselves. It stands at the bottom of the
// import graph.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// The ports are none that an operating system gives to those who ask for any: Linux has those from 32768 on, others from
// 49152. So the many short connections and servers of a busy machine can't take one before its server does, nor while a
// server is started anew. They are also below those of Kubernetes' nodes, which begin at 30000. Which one it is, is
// random: two processes that look at the same time hardly find the same.
const (
	first = 20000
	count = 10000
	tries = 1000
)

// Find returns a TCP port of 127.0.0.1 on which nobody listens.
func Find(ctx context.Context) (int, error) {
	ports, err := FindAll(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FindAll returns several, all different.
func FindAll(ctx context.Context, n int) (ports []int, err error) {
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(count) //nolint:gosec // to guess a port gives nobody anything: weak randomness is enough
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) { // a system may keep some for itself
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }() // when all are found, so that each is another
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find a free port: none of %d between %d and %d was free", tries, first, first+count-1)
}
