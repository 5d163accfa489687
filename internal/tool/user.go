package tool

import (
	"syscall"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// attributes are how the system starts a program: in a session of its own, which is a process group of its own and one
// without a terminal (a program that would ask for a password there fails instead of waiting for ever), and as the
// user that the invocation names, who has no further groups.
func attributes(user *engine.User) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if user != nil {
		attr.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID}
	}
	return attr
}
