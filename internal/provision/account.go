package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// An account is who a database server runs as: ourselves, or, since PostgreSQL refuses root, somebody without rights.
type account struct {
	name string
	user *engine.User // nil: ourselves
}

// serverAccount chooses the account. Root takes the one that distributions make for PostgreSQL, else nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return account{name, &engine.User{UID: uint32(uid), GID: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as: " +
		"make one, run the pipeline as another user, or set DATABASE_URL")
}

// canReach reports why the account can't enter a directory; nil if it can.
func (a account) canReach(dir string) error {
	if a.user == nil {
		return nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("the user %s, whom the server runs as, can't enter %s", a.name, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// mayEnter reads the permission bits as the system does: the first class that fits decides.
func (a account) mayEnter(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return mode&0o001 != 0
	case owner.Uid == a.user.UID:
		return mode&0o100 != 0
	case owner.Gid == a.user.GID:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// give hands a file or directory to the account.
func (a account) give(path string) error {
	if a.user == nil {
		return nil
	}
	return os.Chown(path, int(a.user.UID), int(a.user.GID))
}
