package haproxy

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// A Socket is the proxy's admin socket.
type Socket struct {
	Path    string
	Timeout time.Duration // of one question; 0 is 2 s
}

// longestAnswer is far above what any of these questions is answered with.
const longestAnswer = 4 << 20

// ask sends commands, with semicolons between them, and returns all that comes back.
func (s Socket) ask(ctx context.Context, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, 2*time.Second))
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", s.Path)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if until, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(until); err != nil {
			return "", err
		}
	}
	// A context that is cancelled ends the waiting, too.
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(connection, commands+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(connection, longestAnswer))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return string(answer), err
}

// SetWeights sets each server's weight, in percent. They act when it returns: the proxy has said so, and was asked again.
func (s Socket) SetWeights(ctx context.Context, weights map[string]int) error {
	// The greatest first, so that at no time all are at 0.
	names := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(a, b))
	})
	var commands []string
	small := reduced(weights)
	for _, name := range names {
		commands = append(commands, fmt.Sprintf("set server %s/%s weight %d", Backend, name, small[name]))
	}
	answer, err := s.ask(ctx, strings.Join(commands, ";"))
	if err != nil {
		return fmt.Errorf("set weights at the proxy: %w", err)
	}
	if said := strings.TrimSpace(answer); said != "" {
		return fmt.Errorf("set weights at the proxy: it says: %s", plain.Line(said))
	}
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	for name, want := range weights {
		if got, ok := state.Servers[name]; !ok || got.Weight != want {
			return fmt.Errorf("set weights at the proxy: %s has %d, not %d", name, got.Weight, want)
		}
	}
	return nil
}

// A State is what the proxy says of itself.
type State struct {
	Servers  map[string]ServerState
	Answered int64 // requests that it has answered or given up: as many lines are in the log of this process
	Dropped  int64 // lines of it that it could not log
	Began    time.Time
}

// A ServerState is what it says of one server.
type ServerState struct {
	Address  string // host:port; with no host as long as its name is not known
	Up       bool
	Status   string // in its words
	Weight   int    // that was set, in percent of all
	Sessions int    // requests that are with it, or wait for it
}

// State asks for all of it at once.
func (s Socket) State(ctx context.Context) (State, error) {
	answer, err := s.ask(ctx, "show info;show stat")
	if err != nil {
		return State{}, fmt.Errorf("ask the proxy: %w", err)
	}
	info, table, ok := strings.Cut(answer, "# pxname,")
	if !ok {
		return State{}, fmt.Errorf("ask the proxy: it says: %.200s", plain.Line(answer))
	}
	state := State{Servers: map[string]ServerState{}}
	if err := errors.Join(state.readInfo(info), state.readTable("pxname,"+table)); err != nil {
		return State{}, fmt.Errorf("read what the proxy says: %w", err)
	}
	return state, nil
}

func (s *State) readInfo(info string) error {
	found := 0
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name != "DroppedLogs" && name != "Start_time_sec" {
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		if found++; name == "DroppedLogs" {
			s.Dropped = n
		} else {
			s.Began = time.Unix(n, 0)
		}
	}
	if found != 2 {
		return errors.New("neither DroppedLogs nor Start_time_sec may be missing in it: it needs HAProxy 2.5 or newer")
	}
	return nil
}

func (s *State) readTable(table string) error {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimSpace(table))).ReadAll()
	if err != nil {
		return err
	}
	front := false
	for _, cells := range rows[1:] {
		row := row{names: rows[0], cells: cells}
		switch proxy, name := row.text("pxname"), row.text("svname"); {
		case proxy == Frontend && name == "FRONTEND":
			front = true
			for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx", "other"} {
				s.Answered += row.number("hrsp_" + class)
			}
		case proxy == Backend && name != "BACKEND":
			status := row.text("status")
			s.Servers[name] = ServerState{
				Address: row.text("addr"), Up: status == "UP" || strings.HasPrefix(status, "UP "), Status: status,
				Weight: int(row.number("uweight")), Sessions: int(row.number("scur") + row.number("qcur")),
			}
		}
		if row.err != nil {
			return row.err
		}
	}
	s.share()
	if !front || len(s.Servers) == 0 {
		return fmt.Errorf("it has no frontend %q, or no server in %q", Frontend, Backend)
	}
	return nil
}

// share makes percent of what is set.
func (s *State) share() {
	sum := 0
	for _, server := range s.Servers {
		sum += server.Weight
	}
	for name, server := range s.Servers {
		if sum > 0 {
			server.Weight = (200*server.Weight + sum) / (2 * sum)
			s.Servers[name] = server
		}
	}
}

type row struct {
	names, cells []string
	err          error
}

func (r *row) text(name string) string {
	if i := slices.Index(r.names, name); i >= 0 && i < len(r.cells) {
		return r.cells[i]
	}
	r.err = errors.Join(r.err, fmt.Errorf("it has no column %q", name))
	return ""
}

func (r *row) number(name string) int64 {
	n, err := strconv.ParseInt(r.text(name), 10, 64)
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("column %s: %w", name, err))
	}
	return n
}

// reconnect makes the proxy connect to its log's socket anew: one that it is connected to may be asleep, and is not who
// listens there now.
func (s Socket) reconnect(ctx context.Context) error {
	sessions, err := s.ask(ctx, "show sess")
	if err != nil {
		return err
	}
	for line := range strings.Lines(sessions) {
		id, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(id, "0x") {
			continue
		}
		if about, err := s.ask(ctx, "show sess "+id); err == nil && strings.Contains(about, "backend="+ring+" ") {
			_, err := s.ask(ctx, "shutdown session "+id)
			return err
		}
	}
	return nil
}
