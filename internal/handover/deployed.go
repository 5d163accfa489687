package handover

import "time"

const deployedSchema = 1

// A Release is what the first steps of a deploy hand on to the last: what goes where.
type Release struct {
	Schema      int               `json:"schema"`
	Environment string            `json:"environment"`
	Name        string            `json:"name"`   // for people: v1.4.0, or a commit
	Commit      string            `json:"commit"` // that the images were made of
	Committed   time.Time         `json:"committed"`
	Digest      string            `json:"digest"`   // of the image that serves
	Images      map[string]string `json:"images"`   // all of them, by name: repository@digest
	Database    string            `json:"database"` // schema that it needs
	Accepted    []Accepted        `json:"accepted,omitempty"`
	BreakGlass  string            `json:"break_glass,omitempty"` // why it goes without evidence
}

// Accepted is a piece of evidence that a gate has accepted.
type Accepted struct {
	Digest    string    `json:"digest"` // of its bundle
	Predicate string    `json:"predicate"`
	Subject   string    `json:"subject"`
	Signer    string    `json:"signer"`
	Time      time.Time `json:"time"`
	Summary   string    `json:"summary"`
}

func releaseManifest(environment string) string { return "release-" + environment + ".json" }

// WriteRelease writes the manifest of an environment.
func WriteRelease(artifacts string, r Release) error {
	r.Schema = deployedSchema
	return put(artifacts, releaseManifest(r.Environment), "release", r)
}

// ReadRelease returns what was handed over for an environment.
func ReadRelease(artifacts, environment string) (Release, error) {
	var r Release
	err := take(artifacts, releaseManifest(environment), "release", "run the whole deploy: `mage deploy:"+environment+"`", &r)
	return r, err
}
