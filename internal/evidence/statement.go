package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"

	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Statement says something of its subjects, and is what gets signed.
type Statement struct {
	*intoto.Statement

	Name    string // of the file that it is kept in: quality, provenance-model_api
	Payload []byte // the bytes that are signed
}

// newStatement puts a predicate and its subjects together.
func newStatement(name, predicateType string, subjects []*intoto.ResourceDescriptor, predicate *structpb.Struct) (*Statement, error) {
	s := &intoto.Statement{Type: StatementType, Subject: subjects, PredicateType: predicateType, Predicate: predicate}
	if err := checkStatement(s); err != nil {
		return nil, fmt.Errorf("make statement %s: %w", name, err)
	}
	payload, err := compact(s)
	if err != nil {
		return nil, fmt.Errorf("make statement %s: %w", name, err)
	}
	return &Statement{Statement: s, Name: name, Payload: payload}, nil
}

// parseStatement reads signed bytes. A key that stands twice, or that statements have not, is refused.
func parseStatement(payload []byte) (*Statement, error) {
	s := &intoto.Statement{}
	if err := protojson.Unmarshal(payload, s); err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	if err := checkStatement(s); err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	return &Statement{Statement: s, Payload: payload}, nil
}

var (
	hexSHA1   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkStatement is stricter than the library's own check in that there is one version, and follows the specification
// where that does not: git's hashes may be SHA-256.
func checkStatement(s *intoto.Statement) error {
	switch {
	case s.GetType() != StatementType:
		return fmt.Errorf("its type is %q, not %s", s.GetType(), StatementType)
	case s.GetPredicateType() == "":
		return errors.New("it has no predicate type")
	case s.GetPredicate() == nil:
		return errors.New("it has no predicate")
	case len(s.GetSubject()) == 0:
		return errors.New("it has no subject")
	}
	for _, subject := range s.GetSubject() {
		if len(subject.GetDigest()) == 0 {
			return fmt.Errorf("subject %q has no digest", subject.GetName())
		}
		for algorithm, value := range subject.GetDigest() {
			if !validDigest(algorithm, value) {
				return fmt.Errorf("subject %q has the digest %s:%s, which is none", subject.GetName(), algorithm, value)
			}
		}
	}
	return nil
}

// validDigest takes the value of an algorithm that nobody looks at as it is.
func validDigest(algorithm, value string) bool {
	switch algorithm {
	case sha256sum:
		return hexSHA256.MatchString(value)
	case gitTree, gitCommit:
		return hexSHA1.MatchString(value) || hexSHA256.MatchString(value)
	default:
		return value != ""
	}
}

// about reports whether the statement has a subject with just that digest.
func (s *Statement) about(algorithm, value string) bool {
	for _, subject := range s.GetSubject() {
		if digest, ok := subject.GetDigest()[algorithm]; ok && value != "" && digest == value {
			return true
		}
	}
	return false
}

// compact is a message as JSON, the same bytes each time: protojson puts spaces in at random, on purpose.
func compact(m proto.Message) ([]byte, error) {
	content, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, content); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// asStruct is any value that JSON can hold, as a part of a predicate.
func asStruct(value any) (*structpb.Struct, error) {
	var content []byte
	var err error
	if m, ok := value.(proto.Message); ok {
		content, err = protojson.Marshal(m)
	} else {
		content, err = json.Marshal(value)
	}
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(content, s)
}

// withStage is a standard predicate with a stage's numbers beside its own fields.
func withStage(predicate proto.Message, stage Stage) (*structpb.Struct, error) {
	s, err := asStruct(predicate)
	if err != nil {
		return nil, err
	}
	numbers, err := asStruct(stage)
	if err != nil {
		return nil, err
	}
	s.Fields[extension] = structpb.NewStructValue(numbers)
	return s, nil
}

// decodePredicate reads the standard part of a predicate. Fields that it does not know are extensions, which in-toto's rules
// say to ignore.
func decodePredicate(s *Statement, into proto.Message) error {
	content, err := protojson.Marshal(s.GetPredicate())
	if err != nil {
		return err
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(content, into)
}

// stage reads the extension. What it holds must be what a Stage holds, neither less nor more, and each key in its exact
// spelling: Go's decoder takes "Status" for "status".
func (s *Statement) stage() (Stage, error) {
	value, ok := s.GetPredicate().GetFields()[extension]
	if !ok || value.GetStructValue() == nil {
		return Stage{}, fmt.Errorf("its predicate has no field %q, so it holds no numbers", extension)
	}
	content, err := json.Marshal(value.GetStructValue().AsMap())
	if err != nil {
		return Stage{}, err
	}
	var stage Stage
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stage); err != nil {
		return Stage{}, fmt.Errorf("read %s: %w", extension, err)
	}
	if stage.Version != stageVersion {
		return Stage{}, fmt.Errorf("%s is of version %d, this program reads %d", extension, stage.Version, stageVersion)
	}
	again, err := asStruct(stage)
	if err != nil {
		return Stage{}, err
	}
	if !reflect.DeepEqual(again.AsMap(), value.GetStructValue().AsMap()) {
		return Stage{}, fmt.Errorf("%s is not in the form of this program: a field is missing, or spelt in another way", extension)
	}
	return stage, nil
}
