package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// Names of what an image was made of.
const (
	sourceTree = "source tree"
	baseImage  = "base image"
	modelFiles = "model"
)

// A Build is what is known of the building of images.
type Build struct {
	Images   handover.Images
	Place    Place
	Run      string // the run that built them
	Started  time.Time
	Finished time.Time
}

// Provenances say of each image what it was made of: the one statement that joins the tree's hash to the image's digest.
// Images of a tree that differed from its commit get none.
func Provenances(build Build) (made []*Statement, notes []string, err error) {
	if build.Images.Dirty || build.Images.Commit == "" || build.Images.Tree == "" {
		return nil, []string{"no provenance was made: the images are of no commit, or their work tree differed from it"}, nil
	}
	for _, image := range build.Images.Images {
		s, err := build.provenance(image)
		if err != nil {
			return nil, nil, fmt.Errorf("make provenance of %s: %w", image.Name, err)
		}
		made = append(made, s)
	}
	return made, nil, nil
}

func (b Build) provenance(image handover.Image) (*Statement, error) {
	parameters, err := structpb.NewStruct(map[string]any{"source": image.Source, "image": image.Name, "platform": image.Platform})
	if err != nil {
		return nil, err
	}
	internal, err := asStruct(map[string]Place{"place": b.Place})
	if err != nil {
		return nil, err
	}
	predicate, err := asStruct(&provenance.Provenance{
		BuildDefinition: &provenance.BuildDefinition{
			BuildType: BuildType, ExternalParameters: parameters, InternalParameters: internal,
			ResolvedDependencies: b.materials(image),
		},
		RunDetails: &provenance.RunDetails{
			Builder: &provenance.Builder{Id: b.Place.Builder},
			Metadata: &provenance.BuildMetadata{
				InvocationId: b.Run, StartedOn: timestamppb.New(moment(b.Started)), FinishedOn: timestamppb.New(moment(b.Finished)),
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return newStatement("provenance-"+image.Name, ProvenanceType, []*intoto.ResourceDescriptor{imageSubject(image)}, predicate)
}

func (b Build) materials(image handover.Image) []*intoto.ResourceDescriptor {
	all := []*intoto.ResourceDescriptor{{
		Name: sourceTree, Uri: image.Source,
		Digest: map[string]string{gitTree: strings.TrimPrefix(b.Images.Tree, gitTree+":"), gitCommit: b.Images.Commit},
	}}
	if name, digest, ok := strings.Cut(image.Base, "@sha256:"); ok {
		all = append(all, &intoto.ResourceDescriptor{Name: baseImage, Uri: name, Digest: map[string]string{sha256sum: digest}})
	}
	if digest, ok := strings.CutPrefix(image.Model, "sha256:"); ok {
		all = append(all, &intoto.ResourceDescriptor{Name: modelFiles, Digest: map[string]string{sha256sum: digest}})
	}
	return all
}

// An Origin is what a provenance says.
type Origin struct {
	Tree, Commit string
	Base         string // "sha256:…" of the base image
	Model        string // "sha256:…"; empty: the image holds none
	Place        Place
	Run          string
	Finished     time.Time
}

// origin reads a provenance. One of another build type may mean anything by its dependencies.
func (s *Statement) origin() (Origin, error) {
	var p provenance.Provenance
	if err := decodePredicate(s, &p); err != nil {
		return Origin{}, fmt.Errorf("read provenance: %w", err)
	}
	definition, details := p.GetBuildDefinition(), p.GetRunDetails()
	if definition.GetBuildType() != BuildType {
		return Origin{}, fmt.Errorf("its build type is %q, not %s", definition.GetBuildType(), BuildType)
	}
	o := Origin{Run: details.GetMetadata().GetInvocationId()}
	if details.GetMetadata().GetFinishedOn() != nil {
		o.Finished = details.GetMetadata().GetFinishedOn().AsTime()
	}
	// The place is a courtesy to readers; what counts is the builder's standard field.
	if content, err := definition.GetInternalParameters().GetFields()["place"].GetStructValue().MarshalJSON(); err == nil {
		_ = json.Unmarshal(content, &o.Place)
	}
	o.Place.Builder = details.GetBuilder().GetId()
	trees := 0
	for _, material := range definition.GetResolvedDependencies() {
		digest := material.GetDigest()
		switch material.GetName() {
		case sourceTree:
			trees++
			o.Tree, o.Commit = digest[gitTree], digest[gitCommit]
		case baseImage:
			o.Base = "sha256:" + digest[sha256sum]
		case modelFiles:
			o.Model = "sha256:" + digest[sha256sum]
		}
	}
	if trees != 1 || !validDigest(gitTree, o.Tree) {
		return Origin{}, errors.New("it does not name one source tree by its hash")
	}
	return o, nil
}

// SBOM makes a statement of a CycloneDX document, which stays as it is.
func SBOM(image handover.Image, file string) (*Statement, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("make statement of the bill of materials: %w", err)
	}
	document := &structpb.Struct{}
	if err := protojson.Unmarshal(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), document); err != nil {
		return nil, fmt.Errorf("make statement of the bill of materials %s: %w", image.Name, err)
	}
	s, err := newStatement("sbom-"+image.Name, SBOMType, []*intoto.ResourceDescriptor{imageSubject(image)}, document)
	if err != nil {
		return nil, err
	}
	_, err = s.components()
	return s, err
}

// components counts what a bill of materials lists; none is no bill.
func (s *Statement) components() (int, error) {
	fields := s.GetPredicate().GetFields()
	if format := fields["bomFormat"].GetStringValue(); format != "CycloneDX" {
		return 0, fmt.Errorf("its format is %q, not CycloneDX", format)
	}
	n := len(fields["components"].GetListValue().GetValues())
	if n == 0 {
		return 0, errors.New("it lists no component")
	}
	return n, nil
}
