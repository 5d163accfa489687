package worktree_test

import (
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

func TestChanged(t *testing.T) {
	r := newRepository(t)
	r.git("init", "-q", "-b", "main")
	lines := func(n int) string { return strings.Repeat("old\n", n) }
	hostile := "a\tb \"c\" ::add-mask::x é\n"
	r.write("edited.py", lines(10))
	r.write("gone.py", lines(3))
	r.write("with space", lines(3))
	r.git("add", ".")
	r.git("commit", "-q", "-m", "first")
	base := r.git("rev-parse", "HEAD")
	// What is put in looks like headers, and the last line has no end.
	r.write("edited.py", "old\n++ b/other.py\n@@ -1 +1,99 @@\n"+lines(7)+"-- a\n++ b/x")
	r.write("with space", "old\nnew\nold\n")
	r.write("new.py", lines(2))
	r.write(hostile, "x\n")
	r.git("rm", "-q", "gone.py")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "second")
	changes, err := worktree.Changed(t.Context(), r.runner, r.dir, r.env(), base)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		line int
		want bool
	}{
		{"edited.py", 1, false},
		{"edited.py", 2, true},
		{"edited.py", 3, true},
		{"edited.py", 4, false},
		{"edited.py", 10, false},
		{"edited.py", 11, true},
		{"edited.py", 12, true},
		{"edited.py", 0, true},
		{"new.py", 2, true},
		{"new.py", 3, false},
		{"with space", 2, true},
		{"with space", 1, false},
		{hostile, 1, true},
		{"gone.py", 1, false},
		{"gone.py", 0, false},
		{"other.py", 1, false},
		{"x", 1, false},
		{"untouched", 0, false},
	} {
		if got := changes.Has(tt.path, tt.line); got != tt.want {
			t.Errorf("%q:%d changed: %t, want %t", tt.path, tt.line, got, tt.want)
		}
	}
	for _, bad := range []string{"", "main", "--output=/tmp/x", strings.Repeat("0", 40), strings.Repeat("1", 40)} {
		if _, err := worktree.Changed(t.Context(), r.runner, r.dir, r.env(), bad); err == nil {
			t.Errorf("%q is taken for a commit before", bad)
		}
	}
}
