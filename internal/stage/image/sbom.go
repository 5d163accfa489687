package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// SBOMFile is the name of an image's bill of materials in the artifacts.
func SBOMFile(image string) string { return "sbom-" + image + ".json" }

// sbomStep writes what each image is made of. The same image gives the same bytes.
func (s *scanner) sbomStep() engine.Step {
	return s.step(sbomName, "bills of materials of images", nil, s.sbom)
}

func (s *scanner) sbom(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "components"}
	err := s.each(ctx, scope, func(image built, inventory *oci.Inventory) error {
		bill, err := billOfMaterials(image, inventory)
		if err != nil {
			return err
		}
		content, err := encodeBill(bill)
		if err != nil {
			return err
		}
		if err := wholefile.Write(filepath.Join(scope.Artifacts, SBOMFile(image.Name)), content, 0o644); err != nil {
			return fmt.Errorf("keep bill of materials: %w", err)
		}
		j.Judged += len(*bill.Components)
		j.Notes = append(j.Notes, fmt.Sprintf("%s has %s: %s", image.Name, python.Count(len(*bill.Components), "component"), SBOMFile(image.Name)))
		return nil
	})
	if err != nil {
		return engine.Judgement{}, err
	}
	return j, nil
}

// encodeBill writes CycloneDX 1.6, whose schema readers of today know.
func encodeBill(bill *cdx.BOM) ([]byte, error) {
	var b bytes.Buffer
	encoder := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bill, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return b.Bytes(), nil
}

// billOfMaterials has every package as a component. Nothing in it depends on when or where it was written: the serial
// number comes from the image's digest, the time is the image's.
func billOfMaterials(image built, inventory *oci.Inventory) (*cdx.BOM, error) {
	if len(inventory.Packages) == 0 {
		return nil, errors.New("no package was found in it, and a bill of nothing would look like one of an empty image")
	}
	digest := inventory.Image.Digest
	distribution := readDistribution(inventory)
	bill := cdx.NewBOM()
	bill.SerialNumber = serialNumber(digest.Hex)
	subject := cdx.Component{
		BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: image.Repository, Version: digest.String(),
		PackageURL: imagePURL(image, digest.String()),
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digest.Hex}},
	}
	bill.Metadata = &cdx.Metadata{
		Component: &subject,
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "meter-pipeline"}}},
	}
	if created := inventory.Image.Config.Created.Time; !created.IsZero() {
		bill.Metadata.Timestamp = created.UTC().Format(time.RFC3339)
	}
	components := map[string]*cdx.Component{}
	for _, p := range inventory.Packages {
		add(components, component(p, distribution), p)
	}
	list := make([]cdx.Component, 0, len(components)+1)
	for _, c := range components {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	if distribution.id != "" {
		list = slices.Insert(list, 0, cdx.Component{
			BOMRef: "os", Type: cdx.ComponentTypeOS, Name: distribution.id, Version: distribution.version, Description: distribution.name,
		})
	}
	bill.Components = &list
	return bill, nil
}

// add keeps one component for what is there twice, with each of its places.
func add(components map[string]*cdx.Component, c cdx.Component, p oci.Package) {
	known := components[c.BOMRef]
	if known == nil {
		c.Evidence = &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{}}
		known = &c
		components[c.BOMRef] = known
	}
	place := cdx.EvidenceOccurrence{Location: "/" + plain.Line(p.Path), AdditionalContext: fmt.Sprintf("layer %d", p.Layer+1)}
	if places := known.Evidence.Occurrences; !slices.Contains(*places, place) {
		*places = append(*places, place)
	}
}

func component(p oci.Package, d distribution) cdx.Component {
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: plain.Line(p.Name), Version: plain.Line(p.Version)}
	if p.Manager == oci.Dpkg {
		c.PackageURL = debianPURL(p, d)
		if p.Source != "" {
			c.Properties = &[]cdx.Property{{Name: "debian:source", Value: plain.Line(p.Source)}}
		}
	} else {
		c.PackageURL = "pkg:pypi/" + escape(p.Canonical()) + "@" + escape(p.Version)
		c.Licenses = licenses(p)
		if p.Debian != "" {
			c.Properties = &[]cdx.Property{{Name: "debian:package", Value: plain.Line(p.Debian)}}
		}
	}
	c.BOMRef = c.PackageURL
	return c
}

// licenses are given as the package writes them: as an expression if it says that it is one, else as names.
func licenses(p oci.Package) *cdx.Licenses {
	var all cdx.Licenses
	for _, word := range p.Licenses {
		word = python.Shorten(plain.Line(word), 200)
		switch {
		case word == "":
		case p.Expression:
			all = append(all, cdx.LicenseChoice{Expression: word})
		default:
			all = append(all, cdx.LicenseChoice{License: &cdx.License{Name: word}})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &all
}

// distribution is what os-release says.
type distribution struct{ id, version, name string }

func readDistribution(inventory *oci.Inventory) distribution {
	file := inventory.Final.Find("etc/os-release")
	if file == nil {
		return distribution{}
	}
	values := map[string]string{}
	for line := range strings.SplitSeq(string(file.Content), "\n") {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = plain.Line(strings.Trim(value, `"'`))
		}
	}
	return distribution{values["ID"], values["VERSION_ID"], values["PRETTY_NAME"]}
}

func debianPURL(p oci.Package, d distribution) string {
	vendor := cmp.Or(d.id, "debian")
	qualifiers := url.Values{}
	if p.Architecture != "" {
		qualifiers.Set("arch", p.Architecture)
	}
	if d.version != "" {
		qualifiers.Set("distro", vendor+"-"+d.version)
	}
	purl := "pkg:deb/" + escape(vendor) + "/" + escape(strings.ToLower(p.Name)) + "@" + escape(p.Version)
	if len(qualifiers) > 0 {
		purl += "?" + qualifiers.Encode()
	}
	return purl
}

func imagePURL(image built, digest string) string {
	name := image.Repository[strings.LastIndex(image.Repository, "/")+1:]
	return "pkg:oci/" + escape(name) + "@" + escape(digest) + "?" + url.Values{"repository_url": {image.Repository}}.Encode()
}

// escape writes a part of a package URL.
func escape(part string) string { return strings.ReplaceAll(url.QueryEscape(part), "+", "%20") }

// serialNumber makes a UUID of the digest (version 8 of RFC 9562: made as one likes).
func serialNumber(digest string) string {
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) < 16 {
		return ""
	}
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
