package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// shippedAs is an image of which only the name matters.
func shippedAs(name string) built {
	return built{Image: handover.Image{Name: name}, config: config.ContainerImage{Name: name, Dockerfile: "docker/" + name + "/Dockerfile"}}
}

// database is a small one in safety's own format, so that no test depends on what is known today.
func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const meta = `"meta": {"schema_version": "2.0.0", "timestamp": 1763900000}, `
	lay(t, dir, "insecure.json", `{`+meta+`"vulnerable_packages": {"leaky": ["<2.0"]}}`)
	lay(t, dir, "insecure_full.json", `{`+meta+`"vulnerable_packages": {"leaky": [{"specs": ["<2.0"], "advisory": "leaky before 2.0 tells its secrets.",
		"ids": [{"type": "cve", "id": "CVE-2024-12345"}], "vulnerability_id": "12345", "affected_specs": ["<2.0"], "fixed_versions": ["2.0"],
		"more_info_path": "/v/12345/97c"}]}}`)
	return dir
}

// advised is a scope with safety and that database.
func advised(t *testing.T) engine.Scope {
	t.Helper()
	programs := filepath.Join(stagetest.Repository(t), ".venv", "bin")
	if _, err := os.Stat(filepath.Join(programs, "safety")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("find safety: %v: run `mage setup` first", err)
		}
		t.Skipf("safety is not here: %v: run `mage setup` first", err)
	}
	return scanScope(t, "PATH="+programs+":"+os.Getenv("PATH"), "METER_ADVISORIES="+database(t))
}

func TestAVulnerablePackageOfAnImageIsCaught(t *testing.T) {
	scope := advised(t)
	api := shipped(t, "api", ocitest.Image(t, nil,
		ocitest.Files(ocitest.Merged(ocitest.Debian("libc6", "2.36", nil), ocitest.Distribution("harmless", "1.0", nil))),
		ocitest.Files(ocitest.Distribution("Leaky", "1.9", nil)),
	))
	other := shipped(t, "other", ocitest.Image(t, nil, ocitest.Files(ocitest.Distribution("leaky", "2.0", nil)), ocitest.Files(ocitest.Distribution("leaky", "1.0", nil))))
	lay(t, scope.Root, "requirements/api.txt", "harmless==1.0\nleaky==1.9 \\\n    --hash=sha256:00\n")
	lay(t, scope.Root, "requirements/other.txt", "leaky==2.0\n")
	j, err := handOver(t, scope, api, other).packages(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if j.Judged != 4 || j.Unit != "packages" || len(j.Findings) != 2 {
		t.Fatalf("judged %d %s, found %+v", j.Judged, j.Unit, j.Findings)
	}
	inAPI, inOther := j.Findings[0], j.Findings[1]
	if strings.Contains(inAPI.Message, "image other") {
		inAPI, inOther = inOther, inAPI
	}
	if inAPI.Rule != "CVE-2024-12345" || inAPI.Path != "requirements/api.txt" || inAPI.Line != 2 || !strings.Contains(inAPI.Help, "fixed in 2.0") {
		t.Errorf("got %+v", inAPI)
	}
	for _, part := range []string{"image api", "/opt/venv/lib/python3.11/site-packages/Leaky-1.9", "layer 2", "1.9 is vulnerable", "tells its secrets"} {
		if !strings.Contains(inAPI.Message, part) {
			t.Errorf("%q does not say %q", inAPI.Message, part)
		}
	}
	// The lock was mended, but the image still holds the old version.
	if !strings.Contains(inOther.Message, "requirements/other.txt pins 2.0, which is not what is there") {
		t.Errorf("got %q", inOther.Message)
	}
	if _, err := os.Stat(filepath.Join(scope.Artifacts, packagesReport)); err != nil {
		t.Errorf("the report is not kept: %v", err)
	}
}

func TestPackagesThatNobodyPins(t *testing.T) {
	scope := advised(t)
	lay(t, scope.Root, "requirements/api.txt", "harmless==1.0\n")
	scan := handOver(t, scope, shipped(t, "api", ocitest.Image(t, nil, ocitest.Files(ocitest.Distribution("leaky", "1.0", nil)))))
	scan.project.Security.Allow = []config.Allow{{Tool: "image:packages", Rule: "CVE-2024-12345", Reason: "why", Expires: "2026-12-01"}}
	j, err := scan.packages(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Findings) != 0 || len(j.Allowed) != 1 {
		t.Fatalf("found %+v, allowed %+v", j.Findings, j.Allowed)
	}
	if f := j.Allowed[0].Finding; f.Path != "docker/api/Dockerfile" || !strings.Contains(f.Message, "no requirements of the image pin it") {
		t.Errorf("got %+v", f)
	}
}

func TestPackagesThatCanNotBeJudgedAreErrors(t *testing.T) {
	ok := ocitest.Files(ocitest.Distribution("harmless", "1.0", nil))
	for name, test := range map[string]struct {
		layer  ocitest.Layer
		change func(t *testing.T, scope *engine.Scope)
		want   string
	}{
		"no Python package": {ocitest.Files(ocitest.Debian("libc6", "2.36", nil)), nil, "no Python package was found"},
		"only Debian's": {ocitest.Files(map[string]string{
			"usr/lib/python3/dist-packages/six.egg-info": "Name: six\nVersion: 1\n",
			"var/lib/dpkg/info/python3-six.md5sums":      "00112233445566778899aabbccddeeff  usr/lib/python3/dist-packages/six.egg-info\n",
		}), nil, "no Python package was found"},
		"a version that is none": {ocitest.Files(ocitest.Distribution("odd", "one", nil)), nil, "odd"},
		"no requirements": {ok, func(t *testing.T, scope *engine.Scope) {
			t.Helper()
			if err := os.Remove(filepath.Join(scope.Root, "requirements", "api.txt")); err != nil {
				t.Fatal(err)
			}
		}, "there are no requirements"},
		"no database": {ok, func(_ *testing.T, scope *engine.Scope) { delete(scope.Env, "METER_ADVISORIES") }, "there is no advisory database"},
		"nothing handed over": {ok, func(t *testing.T, scope *engine.Scope) {
			t.Helper()
			if err := os.Remove(filepath.Join(scope.Artifacts, handover.ImagesManifest)); err != nil {
				t.Fatal(err)
			}
		}, "run `mage image:build`"},
	} {
		t.Run(name, func(t *testing.T) {
			scope := advised(t)
			lay(t, scope.Root, "requirements/api.txt", "harmless==1.0\n")
			scan := handOver(t, scope, shipped(t, "api", ocitest.Image(t, nil, test.layer)))
			if test.change != nil {
				test.change(t, &scope)
			}
			j, err := scan.packages(t.Context(), scope)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v, want %q", j, err, test.want)
			}
		})
	}
}

func TestAnImageThatIsNotWholeIsAnError(t *testing.T) {
	scope := scanScope(t)
	image := shipped(t, "api", ocitest.Image(t, nil, ocitest.Files(ocitest.Distribution("harmless", "1.0", nil))))
	hash, err := v1.NewHash(image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(image.Layout, "blobs", "sha256", hash.Hex), 10); err != nil {
		t.Fatal(err)
	}
	scan := handOver(t, scope, image)
	for name, step := range map[string]func() error{
		"packages": func() error { _, err := scan.packages(t.Context(), scope); return err },
		"secrets":  func() error { _, err := scan.secrets(t.Context(), scope); return err },
		"sbom":     func() error { _, err := scan.sbom(t.Context(), scope); return err },
	} {
		if err := step(); err == nil || !strings.Contains(err.Error(), "is not what its digest stands for") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
