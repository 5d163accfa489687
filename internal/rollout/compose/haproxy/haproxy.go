// Package haproxy is how the proxy in front of both slots is told what to do, and asked what it did: its configuration
// from a template, its admin socket, its log.
//
// It stands below package compose, and knows neither revisions nor containers. A weight is set at the socket, so that it
// acts at once, and written to the configuration, so that it holds after a restart.
package haproxy

// Names in the template that the rest relies on.
const (
	Backend  = "model_api"
	Frontend = "api"
)

// Values are what the template gets. Each is checked before, so that none can add a line.
type Values struct {
	Bind     string   // address and port on which it serves: ":8080"
	Socket   string   // absolute path of its admin socket
	Log      string   // absolute path of the socket that takes its log
	Resolver string   // address and port of Docker's DNS; empty where addresses are numeric
	Servers  []Server // blue and green
}

// LogFormat is what the template uses for its log lines, so that Log can read them.
func (Values) LogFormat() string { return logFormat }

// A Server is one of the backend's.
type Server struct {
	Name    string // blue
	Address string // model-api-blue:8000
	Weight  int    // 0 to 100
}

// logFormat has a fixed number of fields, apart by one space, none of which a client can put a space into: format,
// process, number of the line, server, status, state at the end, seconds (in ms) of all and of the server, retries,
// method, synthetic.
const logFormat = "meter1 %pid %lc %s %ST %ts %Ta %Tr %rc %HM %[var(txn.synthetic)]"
