// Package wholefile replaces files as a whole: whoever reads one, at any time and after any crash, sees the old content
// or the new one, never a part.
package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the content of the file at path, whose directory must be there. What it writes first lies beside it,
// under a name that begins with a dot, and is gone afterwards.
func Write(path string, content []byte, mode fs.FileMode) (err error) {
	dir, name := filepath.Split(path)
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	file, err := os.CreateTemp(filepath.Clean(dir), "."+name+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
