package evidence

import (
	"errors"
	"fmt"
	"strings"
)

// TreeOf is git's hash of the source tree that an image was made of, as a provenance says that a trusted key has signed.
func TreeOf(bundles []Found, digest string, keys []PublicKey) (string, error) {
	tree := ""
	for _, found := range bundles {
		signed, err := Open(found.Content, keys)
		if err != nil || signed.GetPredicateType() != ProvenanceType || !signed.about(sha256sum, strings.TrimPrefix(digest, sha256sum+":")) {
			continue
		}
		origin, err := signed.origin()
		if err != nil {
			return "", err
		}
		if tree != "" && tree != origin.Tree {
			return "", fmt.Errorf("two provenances name two source trees, %.12s and %.12s", tree, origin.Tree)
		}
		tree = origin.Tree
	}
	if tree == "" {
		return "", errors.New("no provenance that a trusted key has signed")
	}
	return tree, nil
}
