package image

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
)

// schema is the official one, which the library carries beside its code, with what it refers to.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatalf("find the library: %v", err)
	}
	compiler := jsonschema.NewCompiler()
	for file, id := range map[string]string{
		"bom-1.6.schema.json": "http://cyclonedx.org/schema/bom-1.6.schema.json", "spdx.schema.json": "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schemax.json": "http://cyclonedx.org/schema/jsf-0.82.schema.json",
	} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(id, parsed); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func valid(t *testing.T, content []byte) error {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return schema(t).Validate(parsed)
}

func billed(t *testing.T, image v1.Image) ([]byte, error) {
	t.Helper()
	scope := scanScope(t)
	j, err := handOver(t, scope, shipped(t, "api", image)).sbom(t.Context(), scope)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(scope.Artifacts, "sbom-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill cdx.BOM
	if err := json.Unmarshal(content, &bill); err != nil || len(*bill.Components) != j.Judged {
		t.Errorf("judged %d, %v", j.Judged, err)
	}
	return content, nil
}

func TestBillOfMaterials(t *testing.T) {
	image := ocitest.Image(t, nil,
		ocitest.Files(ocitest.Merged(
			ocitest.Debian("libstdc++6", "1:12.2.0-14+deb12u1", nil), ocitest.Distribution("Typing_Extensions", "4.1+local", nil),
			map[string]string{"opt/second/x-1.dist-info/METADATA": "Name: x\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\n"},
		)),
		ocitest.Files(map[string]string{"opt/third/x-1.dist-info/METADATA": "Name: x\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\n"}))
	content, err := billed(t, image)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, content); err != nil {
		t.Errorf("it is not valid: %v\n%s", err, content)
	}
	again, err := billed(t, image)
	if err != nil || !bytes.Equal(content, again) {
		t.Errorf("another time it is another one: %v", err)
	}
	var bill cdx.BOM
	if err := json.Unmarshal(content, &bill); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if bill.SpecVersion != cdx.SpecVersion1_6 || bill.Metadata.Timestamp != ocitest.Created().Format(time.RFC3339) ||
		bill.Metadata.Component.Version != digest.String() || (*bill.Metadata.Component.Hashes)[0].Value != digest.Hex {
		t.Errorf("got %+v", bill.Metadata)
	}
	var got []string
	for _, c := range *bill.Components {
		line := c.Name + " " + c.Version + " " + c.PackageURL
		if c.Licenses != nil {
			line += " " + (*c.Licenses)[0].Expression
			if l := (*c.Licenses)[0].License; l != nil {
				line += l.Name
			}
		}
		if c.Evidence != nil && len(*c.Evidence.Occurrences) > 1 {
			line += " twice"
		}
		got = append(got, line)
	}
	want := []string{
		"debian 12 ",
		"libstdc++6 1:12.2.0-14+deb12u1 pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
		"Typing_Extensions 4.1+local pkg:pypi/typing-extensions@4.1%2Blocal MIT License",
		"x 1 pkg:pypi/x@1 MIT OR Apache-2.0 twice",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostileMetadataMakeAValidBill(t *testing.T) {
	files := map[string]string{
		"a.dist-info/METADATA": "Name: a\x1b[31m\"</script>\nVersion: 1 2&?#/@\nClassifier: License :: \x07\nLicense: " + strings.Repeat("x", 10000) + "\n",
		"etc/os-release":       "ID=\"\x1b]0;x\x07\"\nVERSION_ID='\n",
		"var/lib/dpkg/status":  "Package: ../a b\nVersion: ;rm -rf\n",
	}
	content, err := billed(t, ocitest.Image(t, func(c *v1.ConfigFile) { c.Created = v1.Time{} }, ocitest.Files(files)))
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, content); err != nil || bytes.ContainsAny(content, "\x1b\x07") || bytes.Contains(content, []byte("\\u001b")) {
		t.Errorf("%v:\n%s", err, content)
	}
}

func TestABillOfNothingIsAnError(t *testing.T) {
	if _, err := billed(t, ocitest.Image(t, nil, ocitest.Files(map[string]string{"a": "x"}))); err == nil || !strings.Contains(err.Error(), "no package was found") {
		t.Errorf("got %v", err)
	}
}

func TestTheSchemaIsReallyAsked(t *testing.T) {
	for _, bad := range []string{
		`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "without a type"}]}`,
		`{"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "no UUID"}`,
		`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "a", "licenses": [{"license": {"id": "no licence"}}]}]}`,
	} {
		if valid(t, []byte(bad)) == nil {
			t.Errorf("%s is valid", bad)
		}
	}
}
