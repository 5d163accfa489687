package provision

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Outdated asks the package index what of the Python environment has a newer version: uv's answer, a JSON array of
// packages with name, version and latest_version. The second result lists all packages that are installed. An environment
// that is not there is made first.
func (p *Provisioner) Outdated(ctx context.Context, say func(string)) (outdated, installed []byte, err error) {
	python, err := p.Provide(ctx, engine.NeedPython, say)
	if err != nil {
		return nil, nil, err
	}
	ctx, done, err := p.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	uv, err := p.needUV(ctx, say)
	if err != nil {
		return nil, nil, err
	}
	list := func(more ...string) ([]byte, error) {
		out, err := p.run(ctx, engine.Invocation{
			Program: uv.path, Env: p.pythonFree().list(),
			Args: append([]string{"pip", "list", "--format=json", "--python=" + filepath.Join(python.Programs, "python")}, more...),
		})
		if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		return out.Stdout, nil
	}
	if installed, err = list(); err != nil {
		return nil, nil, err
	}
	outdated, err = list("--outdated")
	return outdated, installed, err
}
