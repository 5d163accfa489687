// Package evidence says in a form that others can check what the stages found out about a commit and about the images
// that were made of it: it makes, signs, keeps, attaches and verifies attestations.
//
// It stands beside the stages and above the engine, whose Run it is made from. What was judged is named by its own
// hash: git's of the source tree, or an image's digest. So evidence follows the digest to whatever registry the image is
// copied to, and production needs to trust a public key, and neither the registry nor whoever runs it.
//
// The formats are those of others, for others to read: in-toto statements (test-result, vulns, SLSA provenance,
// CycloneDX), signed as DSSE envelopes, in Sigstore bundles, as OCI referrers. What the standard predicates have no
// field for (counts, metrics, thresholds) is one extension field, as in-toto's rules provide for.
package evidence

// Media types.
const (
	// BundleType is the media type of a Sigstore bundle, and the artifact type under which a registry lists it.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// PayloadType is the media type of what is signed.
	PayloadType = "application/vnd.in-toto+json"
)

// Types of statements and of predicates, each compared as a whole: a type of another version is another type.
const (
	StatementType  = "https://in-toto.io/Statement/v1"
	TestResultType = "https://in-toto.io/attestation/test-result/v0.1"
	VulnsType      = "https://in-toto.io/attestation/vulns/v0.2"
	ProvenanceType = "https://slsa.dev/provenance/v1"
	SBOMType       = "https://cyclonedx.org/bom"
)

// Algorithms of digests, by their names in in-toto's DigestSet. No other one is looked at.
const (
	gitTree   = "gitTree"
	gitCommit = "gitCommit"
	sha256sum = "sha256"
)

// extension is the field in a predicate that holds what is ours.
const extension = "meterPipeline"

// BuildType says how the images of a provenance are built, and what its parameters mean.
const BuildType = "https://github.com/meter-ml/meter-pipeline/blob/main/docs/evidence.md#provenance"

// Builders. Where a statement was made is a claim of its signer: a policy says which key may claim what.
const (
	// BuilderGitHub is a machine of GitHub's own, BuilderSelfHosted somebody's machine that takes GitHub's jobs.
	BuilderGitHub     = "https://github.com/actions/runner/github-hosted"
	BuilderSelfHosted = "https://github.com/actions/runner/self-hosted"
	// BuilderLocal is any other machine: a laptop.
	BuilderLocal = "https://github.com/meter-ml/meter-pipeline/blob/main/docs/evidence.md#local"
)

// A Place is where and by whom something was judged. Only the key that signs it makes it more than a claim.
type Place struct {
	Builder string `json:"builder"` // one of the builders
	URL     string `json:"url"`     // of the run, if it has a page
	Machine string `json:"machine"` // name of the runner or of the machine
	By      string `json:"by"`      // account that started it
}

// Here reads the place from the environment. Anything but a complete description by GitHub is a local machine.
func Here(get func(string) string, hostname string) Place {
	server, repository, run := get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), get("GITHUB_RUN_ID")
	if get("GITHUB_ACTIONS") != "true" || server == "" || repository == "" || run == "" {
		by := get("USER")
		if by == "" {
			by = get("LOGNAME")
		}
		return Place{Builder: BuilderLocal, Machine: hostname, By: by}
	}
	place := Place{
		Builder: BuilderSelfHosted, URL: server + "/" + repository + "/actions/runs/" + run,
		Machine: get("RUNNER_NAME"), By: get("GITHUB_ACTOR"),
	}
	if attempt := get("GITHUB_RUN_ATTEMPT"); attempt != "" {
		place.URL += "/attempts/" + attempt
	}
	if get("RUNNER_ENVIRONMENT") == "github-hosted" {
		place.Builder = BuilderGitHub
	}
	return place
}
