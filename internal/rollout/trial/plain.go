package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
)

// plainFile is what most people have: one service with a port.
const plainFile = `services:
  api:
    image: %s
    ports: ["127.0.0.1:%d:8000"]
    restart: unless-stopped
    tmpfs: [/tmp]
`

// plainTrial is the contrast: the same load on a service that docker compose up -d replaces. Requests fail; that they do
// is what it shows, and what shows that the load notices.
func plainTrial(name string, rate int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) (err error) {
		p := recreated{lab: l, file: filepath.Join(l.Dir, "plain.yaml"), project: l.name("plain")}
		if p.port, err = freeport.Find(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.down(ctx)) }()
		address := fmt.Sprintf("http://127.0.0.1:%d", p.port)
		for i, release := range []string{"v1", "v2"} {
			revision, err := how.release(l, ctx, release, nil)
			if err != nil {
				return err
			}
			if _, err := l.docker(ctx, "pull", "--quiet", revision.Images[serving]); err != nil {
				return err
			}
			if i == 0 {
				if err := p.up(ctx, revision); err != nil {
					return err
				}
				if err := eventually(ctx, 30*time.Second, "it is ready", func() error { return get(ctx, address+"/health/ready") }); err != nil {
					return err
				}
				continue
			}
			return p.replace(ctx, r, load.Options{URL: address + "/predict", Questions: how.stack(l).questions, Rate: rate, Release: releaseHeader}, revision)
		}
		return nil
	}}
}

type recreated struct {
	lab           *Lab
	file, project string
	port          int
}

func (p recreated) up(ctx context.Context, r rollout.Revision) error {
	if err := os.WriteFile(p.file, fmt.Appendf(nil, plainFile, r.Images[serving], p.port), 0o600); err != nil {
		return err
	}
	_, err := p.lab.docker(ctx, "compose", "--project-name", p.project, "--file", p.file, "up", "--detach", "--quiet-pull")
	return err
}

func (p recreated) replace(ctx context.Context, r *Report, o load.Options, next rollout.Revision) error {
	l, err := load.Start(ctx, o)
	if err != nil {
		return err
	}
	c := course{began: time.Now()}
	err = retry.Sleep(ctx, margin)
	if err == nil {
		err = p.up(ctx, next)
	}
	c.ended = time.Now()
	err = errors.Join(err, retry.Sleep(ctx, 5*margin))
	c.shots = l.Stop()
	c.report(r)
	if err != nil {
		return err
	}
	failed := c.shots.Failed()
	r.say("%d of %d requests failed: %s", len(failed), len(c.shots), failed.Faults())
	if len(failed) == 0 {
		return errors.New("no request failed, which can't be: the load does not notice")
	}
	return nil
}

func (p recreated) down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	_, err := p.lab.docker(ctx, "compose", "--project-name", p.project, "--file", p.file, "down", "--timeout", "2", "--volumes")
	return err
}
