package deploy

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// secretBytes is what Airflow's key must have, and enough for a password.
const secretBytes = 32

// generated are secrets that were made up, once, for an environment of this machine, so that nobody has to type one in.
// They are kept for the next deploy: the database has them by then.
func (d deployer) generated(ctx context.Context, variables config.Variables) (map[string]string, error) {
	made := map[string]string{}
	missing := slices.DeleteFunc(slices.Clone(d.to.Generated), func(name string) bool { return value(variables, name) != "" })
	if len(missing) == 0 {
		return made, nil
	}
	if err := os.MkdirAll(d.Generated, 0o700); err != nil {
		return nil, fmt.Errorf("make secrets of %s: %w", d.Environment, err)
	}
	lock, err := os.OpenFile(filepath.Join(d.Generated, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make secrets of %s: %w", d.Environment, err)
	}
	defer func() { _ = lock.Close() }() // which releases it
	if err := filelock.Take(ctx, lock); err != nil {
		return nil, err
	}
	file := filepath.Join(d.Generated, d.Environment+".json")
	content, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read secrets of %s: %w", d.Environment, err)
	default:
		if json.Unmarshal(content, &made) != nil { // its error would quote one
			return nil, fmt.Errorf("read secrets of %s: %s is damaged: restore it, or take the environment down and remove it", d.Environment, file)
		}
	}
	before := len(made)
	for _, name := range missing {
		if made[name] == "" {
			random := make([]byte, secretBytes)
			_, _ = rand.Read(random) // it never fails
			made[name] = base64.URLEncoding.EncodeToString(random)
		}
	}
	if len(made) == before {
		return made, nil
	}
	content, err = json.MarshalIndent(made, "", "  ")
	if err == nil {
		err = wholefile.Write(file, content, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("keep secrets of %s: %w", d.Environment, err)
	}
	return made, nil
}

// secrets are those that something on the target reads. The others, such as where notifications go, stay here.
func (d deployer) secrets(variables config.Variables) wire.Secrets {
	all := wire.Secrets{}
	for directory, names := range d.project.OwnSecrets(d.Environment) {
		own := wire.ServiceSecrets{UID: d.project.Deploy.Secrets[directory].User, Values: map[string]string{}}
		for _, name := range names {
			if v := value(variables, name); v != "" {
				own.Values[name] = v
			}
		}
		if len(own.Values) > 0 {
			all[directory] = own
		}
	}
	return all
}
