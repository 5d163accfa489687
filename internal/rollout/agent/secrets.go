package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// putSecrets writes each secret to a file that only the user of its service can read. A file whose content is the same
// is left alone; one that is not named stays, since the release before may need it on the way back. No error and no log
// has a value in it.
func putSecrets(layout wire.Layout, secrets wire.Secrets) error {
	if err := os.MkdirAll(layout.Secrets(), 0o711); err != nil {
		return fmt.Errorf("put secrets: %w", err)
	}
	for service, s := range secrets {
		dir := filepath.Join(layout.Secrets(), service)
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("put secrets: %w", err)
		}
		for _, name := range s.Names() {
			if err := putSecret(filepath.Join(dir, name), []byte(s.Values[name]), s.UID); err != nil {
				return fmt.Errorf("put secret %s of %s: %w", name, service, err)
			}
		}
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("put secrets: %w", err)
		}
	}
	return nil
}

// putSecret replaces the file as a whole. It has its owner before it has its name, so that no reader is shut out.
func putSecret(path string, value []byte, uid int) error {
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, value) {
		return errors.Join(os.Chmod(path, 0o600), os.Chown(path, uid, -1))
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".put-*")
	if err != nil {
		return err
	}
	_, err = file.Write(value)
	if err = errors.Join(err, file.Chmod(0o600), file.Chown(uid, -1), file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
