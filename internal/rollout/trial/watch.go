package trial

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
)

// follow waits for an entry behind that place in the audit log.
func (s *Site) follow(ctx context.Context, from int64, p point) error {
	want := fmt.Appendf(nil, `"action":%q,"kind":%q`, p.action, p.kind)
	seen := 0
	file, err := os.Open(filepath.Join(s.state, journal.LogFile))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var rest []byte
	buffer := make([]byte, 64<<10)
	for {
		n, _ := file.ReadAt(buffer, from) // the end of the file is no error here
		from += int64(n)
		rest = append(rest, buffer[:n]...)
		for {
			line, after, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			rest = after
			if bytes.Contains(line, want) {
				if seen++; seen == p.nth {
					return nil
				}
			}
		}
		if err := retry.Sleep(ctx, glance); err != nil {
			return err
		}
	}
}

func (s *Site) logSize() (int64, error) {
	info, err := os.Stat(filepath.Join(s.state, journal.LogFile))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// leader is the process of the agent that leads, as this machine numbers it, and its epoch.
func (s *Site) leader(ctx context.Context) (pid int, epoch uint64, err error) {
	held, err := lease.Read(s.state)
	if err != nil {
		return 0, 0, err
	}
	for _, n := range []string{"1", "2"} {
		name := s.target.Project() + "-agent-" + n
		if !strings.Contains(held.Holder, name) {
			continue
		}
		out, err := s.lab.docker(ctx, "inspect", "--format", "{{.State.Pid}}", name)
		if err != nil {
			return 0, 0, err
		}
		pid, err := strconv.Atoi(out)
		if err == nil && pid < 2 {
			err = fmt.Errorf("%s does not run", name)
		}
		return pid, held.Epoch, err
	}
	return 0, 0, fmt.Errorf("the lease is held by %q, which is none of the agents", held.Holder)
}

// process is that of a service, as this machine numbers it.
func (s *Site) process(ctx context.Context, service string) (int, error) {
	id, err := s.lab.docker(ctx, "ps", "--quiet", "--filter", "label=com.docker.compose.project="+s.target.Project(),
		"--filter", "label=com.docker.compose.service="+service)
	if err != nil {
		return 0, err
	}
	out, err := s.lab.docker(ctx, "inspect", "--format", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}
