package provision

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// leftovers are the directories of clusters in a temporary directory.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(globQuote(dir), clusterPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// ownTemp gives a checkout a temporary directory that the server's user can enter.
func (c *checkout) ownTemp() string {
	c.t.Helper()
	dir, err := os.MkdirTemp("", "provision temp ö-")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.env["TMPDIR"] = dir
	return dir
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			c := newCheckout(t)
			dir := c.ownTemp()
			p := c.provisioner()
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			provision, err := p.Provide(ctx, engine.NeedPostgres, c.say)
			switch {
			case err == nil: // quicker than the interruption
				if err := provision.Release(context.Background()); err != nil {
					t.Error(err)
				}
			case ctx.Err() == nil:
				t.Errorf("it failed before it was interrupted: %v", err)
			}
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			if left := leftovers(t, dir); len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}

func TestCloseBreaksOffWhatIsUnderWay(t *testing.T) {
	c := newCheckout(t)
	dir := c.ownTemp()
	p := c.provisioner()
	done := make(chan error, 1)
	go func() {
		_, err := p.Provide(context.Background(), engine.NeedPostgres, c.say)
		done <- err
	}()
	eventually(t, "the cluster is begun", func() bool { return len(leftovers(t, dir)) > 0 })
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("it is provided by a provisioner that is closed")
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

func TestClusterInAnOddPath(t *testing.T) {
	c := newCheckout(t)
	dir := c.ownTemp()
	p := c.provisioner()
	mustQuery(t, c.provide(p, engine.NeedPostgres).Env["DATABASE_URL"], "CREATE TABLE t (x int)")
	if got := filepath.Dir(p.clusters[0].dir); got != dir {
		t.Errorf("the cluster is in %s, want %s", got, dir)
	}
}

func TestTemporaryDirectoryThatTheServerCannotEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root runs the server as somebody else")
		return
	}
	c := newCheckout(t)
	dir := c.ownTemp()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := c.provisioner()
	c.provide(p, engine.NeedPostgres)
	if got := filepath.Dir(p.clusters[0].dir); got != "/tmp" {
		t.Errorf("the cluster is in %s", got)
	}
}
