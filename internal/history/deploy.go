package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// Statuses of a deploy.
const (
	DeployDone       = "done"        // all traffic goes to it
	DeployFailed     = "failed"      // it changed nothing that users see
	DeployRolledBack = "rolled_back" // some users saw it, and the release before it was put back
)

// A Deploy is one line: one release on its way into one environment, as the target's audit log tells it. Whoever reads
// that log appends it (AppendDeploys), once for each.
type Deploy struct {
	Environment string `json:"environment"` // staging, production
	Release     string `json:"release"`     // its name in the audit log: with environment and begin, the line's identity
	Service     string `json:"service,omitempty"`
	Commit      string `json:"commit,omitempty"`
	Actor       string `json:"actor,omitempty"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"` // why it is not done
	// Committed is the time of the oldest commit that the release brings and the one before it did not have. Zero if
	// nobody knows: then it has no lead time.
	Committed time.Time `json:"committed,omitzero"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"` // of a rollback: when users were served well again
	// Rework is for a release that nobody had planned: it mends what users met (a hotfix, a rollback by hand).
	Rework bool `json:"rework,omitempty"`
	// Recovers is the release in the same environment whose failure this one ended; empty if there was none.
	Recovers string `json:"recovers,omitempty"`
}

// DeploysName is the file in which a job hands deploys on to whoever keeps a history: its own machine is gone with it.
const DeploysName = "deploys.json"

// deploysDoc is what is in it.
type deploysDoc struct {
	Schema  int      `json:"schema"`
	Deploys []Deploy `json:"deploys"`
}

// HandOn writes deploys into a directory, for Import there.
func HandOn(dir string, deploys ...Deploy) error {
	content, err := json.MarshalIndent(deploysDoc{schema, deploys}, "", "  ")
	if err != nil {
		return fmt.Errorf("hand on deploys: %w", err)
	}
	return wholefile.Write(filepath.Join(dir, DeploysName), append(content, '\n'), 0o644)
}

// handedOn reads what HandOn wrote, perhaps on another machine.
func handedOn(content []byte) ([]Deploy, error) {
	var doc deploysDoc
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("it holds no deploys: %w", err)
	}
	if doc.Schema != schema {
		return nil, fmt.Errorf("its schema is %d, and this program reads %d", doc.Schema, schema)
	}
	for _, d := range doc.Deploys {
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	return doc.Deploys, nil
}

// deployLine is a deploy in the file. Readers that know nothing of deploys see a line without steps.
type deployLine struct {
	Schema int     `json:"schema"`
	Deploy *Deploy `json:"deploy"`
}

// check refuses what no figure can be made of.
func (d Deploy) check() error {
	switch {
	case d.Environment == "" || d.Release == "":
		return errors.New("a deploy has an environment and a release")
	case d.Status != DeployDone && d.Status != DeployFailed && d.Status != DeployRolledBack:
		return fmt.Errorf("deploy %s has the status %q: it is done, failed or rolled_back", d.Release, d.Status)
	case d.Started.IsZero() || d.Finished.Before(d.Started):
		return fmt.Errorf("deploy %s ends before it begins", d.Release)
	}
	return nil
}

func (d *Deploy) tidy() {
	for _, s := range []*string{&d.Environment, &d.Release, &d.Service, &d.Commit, &d.Actor, &d.Reason, &d.Recovers} {
		*s = text(*s)
	}
	d.Started, d.Finished = d.Started.UTC(), d.Finished.UTC()
}
