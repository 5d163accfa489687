package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Setup makes every need of the project ready ahead of the first run, and shows that the database server serves. It
// goes on after a failure, so that one look tells all that is missing.
func (p *Provisioner) Setup(ctx context.Context, say func(string)) error {
	specs, err := p.pythonSpecs()
	if err != nil {
		return err
	}
	var needs []engine.Need
	for _, spec := range specs {
		needs = append(needs, spec.need)
	}
	needs = append(needs, engine.NeedPostgres, engine.NeedGitleaks)

	var one sync.Mutex // lines of needs that are made at the same time do not mix
	errs := make([]error, len(needs))
	var all sync.WaitGroup
	for i, need := range needs {
		all.Go(func() {
			tell := func(text string) {
				one.Lock()
				defer one.Unlock()
				say(fmt.Sprintf("%s: %s", need, text))
			}
			if err := p.setupOne(ctx, need, tell); err != nil {
				errs[i] = fmt.Errorf("%s: %w", need, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *Provisioner) setupOne(ctx context.Context, need engine.Need, say func(string)) error {
	provision, err := p.Provide(ctx, need, say)
	if err != nil {
		return err
	}
	say("ready: " + provision.Detail)
	if provision.Release == nil {
		return nil
	}
	return provision.Release(ctx)
}
