package haproxy

// A State is what the proxy says of one server.
type State struct {
	Address  string // host:port; empty as long as its name has not been resolved
	Up       bool
	Reason   string // why not
	Weight   int    // that was set
	Sessions int    // requests that are with it, or wait for it
	Requests int64  // in all, of this process
}
