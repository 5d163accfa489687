package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
	"github.com/meter-ml/meter-pipeline/internal/provision"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// scanning is a scope with the secret scanner, built as a run builds it.
func scanning(t *testing.T) engine.Scope {
	t.Helper()
	dir := t.TempDir()
	runner := tool.NewRunner(tool.Options{State: dir, Run: "imagetest-provision" + strings.ReplaceAll(dir, "/", "-")})
	provisioner, err := provision.New(provision.Options{Project: config.Default(stagetest.Repository(t)), Runner: runner, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := provisioner.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := runner.Close(); err != nil {
			t.Error(err)
		}
	})
	provided, err := provisioner.Provide(t.Context(), engine.NeedGitleaks, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return scanScope(t, "PATH="+provided.Programs+":"+os.Getenv("PATH"))
}

// The secrets are put together here, so that this file holds none.
func token() string { return "ghp_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY" + "5" }

func privateKey() string {
	const line = "MIIEpAIBAAKCAQEA1vJqU0p5qk3t0Yy2Vb8HqYw0r1c9tqv0h0m7zYkq3X9o1Gd5\n"
	return "-----BEGIN RSA " + "PRIVATE KEY-----\n" + strings.Repeat(line, 8) + "-----END RSA " + "PRIVATE KEY-----\n"
}

// scanned runs the step on one image, with requirements that pin "pinned".
func scanned(t *testing.T, image v1.Image, allow ...config.Allow) (engine.Judgement, error) {
	t.Helper()
	scope := scanning(t)
	lay(t, scope.Root, "requirements/api.txt", "pinned==1.0\n")
	scan := handOver(t, scope, shipped(t, "api", image))
	scan.project.Security.Allow = allow
	return scan.secrets(t.Context(), scope)
}

func TestSecretsInAnImageAreCaught(t *testing.T) {
	site := ocitest.Site
	pinned := ocitest.Distribution("pinned", "1.0", map[string]string{"pinned/code.py": "TOKEN = '" + token() + "'\n"})
	changed := ocitest.Merged(pinned, map[string]string{site + "/pinned/code.py": "# changed\nTOKEN = '" + token() + "'\n"})
	env := func(entry string) func(*v1.ConfigFile) {
		return func(c *v1.ConfigFile) { c.Config.Env = append(c.Config.Env, "PATH=/bin", entry) }
	}
	innocent := ocitest.Files(map[string]string{"app/main.py": "print('hello')\n"})
	tests := map[string]struct {
		image v1.Image
		want  []string // parts of the one finding; none: there is no finding
	}{
		"a key that the next layer deletes": {
			ocitest.Image(t, nil,
				ocitest.Files(map[string]string{"app/deploy/id_rsa": privateKey()}), ocitest.Files(map[string]string{"app/deploy/.wh.id_rsa": ""})),
			[]string{"private-key", "image api, /app/deploy/id_rsa of layer 1, which a later layer deletes, line 1"},
		},
		"a key whose directory the next layer deletes": {
			ocitest.Image(t, nil,
				ocitest.Files(map[string]string{"build/key.pem": privateKey()}), ocitest.Files(map[string]string{".wh.build": ""})),
			[]string{"private-key", "/build/key.pem of layer 1, which a later layer deletes"},
		},
		"a file that a later layer replaces": {
			ocitest.Image(t, nil,
				ocitest.Files(map[string]string{"app/.env": "A=1\nTOKEN=" + token() + "\n"}), ocitest.Files(map[string]string{"app/.env": "A=1\n"})),
			[]string{"github-pat", "/app/.env of layer 1, which a later layer replaces, line 2"},
		},
		"a variable": {ocitest.Image(t, env("API_TOKEN="+token()), innocent), []string{"github-pat", "image api, variable API_TOKEN (ENV 2)"}},
		"a label":    {ocitest.Image(t, func(c *v1.ConfigFile) { c.Config.Labels = map[string]string{"build": token()} }, innocent), []string{"github-pat", "label build"}},
		"a build argument": {ocitest.Image(t, func(c *v1.ConfigFile) {
			c.History = append(c.History, v1.History{CreatedBy: "RUN |1 TOKEN=" + token() + " /bin/sh -c make", EmptyLayer: true})
		}, innocent), []string{"github-pat", "history line 2"}},
		"an argument of the command": {ocitest.Image(t, func(c *v1.ConfigFile) { c.Config.Cmd = []string{"serve", "--token", token()} }, innocent), []string{"github-pat", "command"}},
		"a trigger":                  {ocitest.Image(t, func(c *v1.ConfigFile) { c.Config.OnBuild = []string{"ENV TOKEN=" + token()} }, innocent), []string{"github-pat", "the rest of the configuration"}},
		// The scanner itself would pass over each of these places.
		"in Python's library":                 {ocitest.Image(t, nil, ocitest.Files(map[string]string{site + "/settings.py": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", site + "/settings.py of layer 1"}},
		"in a file called picture":            {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/logo.png": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", "/app/logo.png"}},
		"in a lock file":                      {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/poetry.lock": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", "/app/poetry.lock"}},
		"in a program":                        {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/tool": "\x7fELF\x02\x01\x01\x00\x00\x00" + strings.Repeat("\x00", 300) + " TOKEN = '" + token() + "' "})), []string{"github-pat", "/app/tool"}},
		"in what is called an archive":        {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/data.zip": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", "/app/data.zip"}},
		"with a comment that lets it through": {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/a.py": "TOKEN = '" + token() + "' # gitleaks:allow\n"})), []string{"github-pat"}},
		"in a name that steers a terminal":    {ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/\x1b[2Ja\nb": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", "/app/a b of layer 1"}},
		// What a pinned package brings, byte for byte, is not ours.
		"in a pinned package":                    {ocitest.Image(t, nil, ocitest.Files(pinned), innocent), nil},
		"in a changed pinned package":            {ocitest.Image(t, nil, ocitest.Files(changed)), []string{"github-pat", "/pinned/code.py of layer 1"}},
		"in a package that is not pinned":        {ocitest.Image(t, nil, ocitest.Files(ocitest.Distribution("other", "1.0", map[string]string{"other/code.py": "TOKEN = '" + token() + "'\n"}))), []string{"github-pat", "/other/code.py"}},
		"in another version of a pinned package": {ocitest.Image(t, nil, ocitest.Files(ocitest.Distribution("pinned", "2.0", map[string]string{"pinned/code.py": "TOKEN = '" + token() + "'\n"}))), []string{"github-pat", "/pinned/code.py"}},
		"in a Debian package":                    {ocitest.Image(t, nil, ocitest.Files(ocitest.Debian("tool", "1", map[string]string{"usr/share/tool/example": "TOKEN = '" + token() + "'\n"}))), nil},
		"in a changed file of a Debian package": {ocitest.Image(t, nil,
			ocitest.Files(ocitest.Debian("tool", "1", map[string]string{"usr/share/tool/example": "TOKEN = ''\n"})),
			ocitest.Files(map[string]string{"usr/share/tool/example": "TOKEN = '" + token() + "'\n"})), []string{"github-pat", "/usr/share/tool/example of layer 2"}},
		"nothing": {ocitest.Image(t, env("LEVEL=info"), innocent), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := scanned(t, test.image)
			if err != nil {
				t.Fatal(err)
			}
			if j.Judged == 0 || len(j.Findings) != min(len(test.want), 1) {
				t.Fatalf("judged %d, found %+v", j.Judged, j.Findings)
			}
			all, err := json.Marshal(j)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(all), token()) || strings.Contains(string(all), "MIIEpAIB") || strings.Contains(string(all), "\\u001b") {
				t.Errorf("it says what it found, or more: %s", all)
			}
			for i, part := range test.want {
				f := j.Findings[0]
				if i == 0 && f.Rule != part || i > 0 && !strings.Contains(f.Message, part) || f.Path != "docker/api/Dockerfile" {
					t.Errorf("%+v does not say %q", f, part)
				}
			}
		})
	}
}

func TestASecretThatManyImagesShareIsToldOfEach(t *testing.T) {
	scope := scanning(t)
	base := ocitest.Files(map[string]string{"etc/token": "TOKEN=" + token() + "\n"})
	var images []built
	for _, name := range []string{"one", "two"} {
		lay(t, scope.Root, "requirements/"+name+".txt", "pinned==1.0\n")
		images = append(images, shipped(t, name, ocitest.Image(t, nil, base, ocitest.Files(map[string]string{"app/" + name: name}))))
	}
	j, err := handOver(t, scope, images...).secrets(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Findings) != 2 || !strings.Contains(j.Findings[0].Message, "image one") || !strings.Contains(j.Findings[1].Message, "image two") {
		t.Errorf("found %+v", j.Findings)
	}
}

func TestCompiledFilesAreVouchedForByTheirSource(t *testing.T) {
	// What Python 3.11 writes before the code of "a = 1\n", with a hash that is not checked; the rest is as good as any.
	head := "\xa7\x0d\x0d\x0a\x01\x00\x00\x00\xf6\x56\x82\x0d\xbc\x3f\xee\xf3"
	compiledFile := ocitest.Site + "/pinned/__pycache__/code.cpython-311.pyc"
	pinned := ocitest.Distribution("pinned", "1.0", map[string]string{"pinned/code.py": "a = 1\n"})
	for name, test := range map[string]struct {
		compiled string
		findings int
	}{
		"of that source":       {head + "'" + token() + "'", 0},
		"of another source":    {strings.Replace(head, "\xf6", "\xf7", 1) + "'" + token() + "'", 1},
		"of a time":            {"\xa7\x0d\x0d\x0a\x00\x00\x00\x00\xf6\x56\x82\x0d\xbc\x3f\xee\xf3'" + token() + "'", 1},
		"too short for a head": {"'" + token() + "'", 1},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := scanned(t, ocitest.Image(t, nil, ocitest.Files(ocitest.Merged(pinned, map[string]string{compiledFile: test.compiled}))))
			if err != nil || len(j.Findings) != test.findings {
				t.Errorf("found %+v, %v", j.Findings, err)
			}
		})
	}
}

func TestSecretsThatAreAllowed(t *testing.T) {
	image := ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/example": "TOKEN=" + token() + "\n"}))
	entry := config.Allow{Tool: "image:secrets", Rule: "github-pat", Path: "app/example", Reason: "it is an example", Expires: "2026-12-01"}
	j, err := scanned(t, image, entry)
	if err != nil || len(j.Findings) != 0 || len(j.Allowed) != 1 {
		t.Errorf("found %+v, allowed %+v, %v", j.Findings, j.Allowed, err)
	}
	entry.Expires = "2026-11-01"
	if j, err = scanned(t, image, entry); err != nil || !slices.ContainsFunc(j.Findings, func(f engine.Finding) bool { return f.Rule == "exception-expired" }) {
		t.Errorf("found %+v, %v", j.Findings, err)
	}
}

func TestLinksAreNotFollowedOutOfAnImage(t *testing.T) {
	image := ocitest.Image(t, nil, ocitest.Layer{
		{Name: "a", Content: "nothing"}, {Name: "passwd", Type: tar.TypeSymlink, Link: "/etc/passwd"}, {Name: "device", Type: tar.TypeChar},
	})
	if j, err := scanned(t, image); err != nil || len(j.Findings) != 0 {
		t.Errorf("found %+v, %v", j.Findings, err)
	}
}

func TestScansOfNothingAreErrors(t *testing.T) {
	scope := scanning(t)
	lay(t, scope.Root, "requirements/api.txt", "pinned==1.0\n")
	image := shipped(t, "api", ocitest.Image(t, nil, ocitest.Files(map[string]string{"app/a.py": "TOKEN='" + token() + "'\n"})))
	scan := handOver(t, scope, image)
	lay(t, scope.Root, ".gitleaks.toml", "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['''.*''']\n")
	if j, err := scan.secrets(t.Context(), scope); err == nil || !strings.Contains(err.Error(), "exclude everything") {
		t.Errorf("got %+v, %v", j, err)
	}
}
