// Package haproxy is how the proxy in front of both slots is told what to do, and asked what it did: its configuration
// from a template, its admin socket, its log.
//
// It stands below package compose, and knows neither revisions nor containers. A weight is set at the socket, so that it
// acts at once, and written to the configuration, so that it holds after a restart.
package haproxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"text/template"
)

// Names in the template that the rest relies on.
const (
	Backend  = "model_api"
	Frontend = "api"
)

// longestSocket is what the system allows in the name of a socket, less what HAProxy adds to it as it starts.
const longestSocket = 107 - 12

// Values are what the template gets.
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
	At      string // numeric address that the name had last, which holds until it is looked up; empty: unknown
	Weight  int    // 0 to 100
}

// Render fills the template. No value gets through that could be more than a word of a line.
func Render(text string, v Values) ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("render the proxy's configuration: %w", err)
	}
	v.Servers = slices.Clone(v.Servers)
	weights := map[string]int{}
	for _, s := range v.Servers {
		weights[s.Name] = s.Weight
	}
	weights = reduced(weights)
	for i, s := range v.Servers {
		v.Servers[i].Weight = weights[s.Name]
	}
	t, err := template.New("haproxy.cfg").Option("missingkey=error").Parse(text)
	var out bytes.Buffer
	if err == nil {
		err = t.Execute(&out, v)
	}
	if err != nil {
		return nil, fmt.Errorf("render the proxy's configuration: %w", err)
	}
	return out.Bytes(), nil
}

// reduced are the same shares in the smallest numbers. HAProxy deals requests out in rounds of 16 times the sum of the
// weights, and a weight that is changed in the midst of one takes effect on the whole of it: with 50 and 50 after 90 and
// 10, more than a hundred requests in a row went to one server; with 1 and 1 after 9 and 1, at most a few do.
func reduced(weights map[string]int) map[string]int {
	divisor := 0
	for _, w := range weights {
		for a := w; a != 0; {
			divisor, a = a, divisor%a
		}
	}
	if divisor == 0 {
		return weights
	}
	small := map[string]int{}
	for name, w := range weights {
		small[name] = w / divisor
	}
	return small
}

func (v Values) check() error {
	address, word := regexp.MustCompile(`^[A-Za-z0-9._-]*:[0-9]{1,5}$`), regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)
	path := regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
	if !address.MatchString(v.Bind) || v.Resolver != "" && !address.MatchString(v.Resolver) {
		return fmt.Errorf("%q or %q is no address with a port", v.Bind, v.Resolver)
	}
	for _, p := range []string{v.Socket, v.Log} {
		if !filepath.IsAbs(p) || !path.MatchString(p) || len(p) > longestSocket {
			return fmt.Errorf("%q is no name for a socket: it must be absolute, of letters, digits, dots, dashes and underscores, and of at most %d bytes", p, longestSocket)
		}
	}
	return v.checkServers(address, word)
}

func isNumeric(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Zone() == ""
}

func (v Values) checkServers(address, word *regexp.Regexp) error {
	sum, seen := 0, map[string]bool{}
	for _, s := range v.Servers {
		switch {
		case !word.MatchString(s.Name) || seen[s.Name]:
			return fmt.Errorf("%q is no name for a server, or has been used", s.Name)
		case !address.MatchString(s.Address) || s.Address[0] == ':':
			return fmt.Errorf("server %s: %q is no address with a port", s.Name, s.Address)
		case s.At != "" && !isNumeric(s.At):
			return fmt.Errorf("server %s: %q is no numeric address", s.Name, s.At)
		case s.Weight < 0 || s.Weight > 100:
			return fmt.Errorf("server %s: a weight of %d is not from 0 to 100", s.Name, s.Weight)
		}
		seen[s.Name] = true
		sum += s.Weight
	}
	if len(v.Servers) == 0 || sum != 0 && sum != 100 {
		return fmt.Errorf("the weights of %d servers add up to %d: they must to 100, or to 0 where nothing is to serve", len(v.Servers), sum)
	}
	return nil
}
