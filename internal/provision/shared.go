package provision

import "context"

// shared makes a value once, however many ask for it at the same time. A failure is kept too, since what could not be
// made for one step would take as long to fail for the next; an interruption is not.
type shared[T any] struct {
	busy  chan struct{}
	done  bool
	value T
	err   error
}

func newShared[T any]() *shared[T] {
	return &shared[T]{busy: make(chan struct{}, 1)}
}

func (s *shared[T]) get(ctx context.Context, produce func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if s.done {
		return s.value, s.err
	}
	value, err := produce(ctx)
	if err != nil && ctx.Err() != nil {
		return none, err
	}
	s.done, s.value, s.err = true, value, err
	return value, err
}
