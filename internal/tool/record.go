package tool

type record struct{}

func newRecord(state, run string) (*record, error) { return &record{}, nil }
func (r *record) add(pid int) error                 { return nil }
func (r *record) remove(pid int)                    {}
func (r *record) close() error                      { return nil }
