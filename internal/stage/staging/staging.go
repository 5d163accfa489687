// Package staging is the eighth stage: what was built is brought to the staging environment, and asked there.
//
// Its verdict is signed as one about the images' digests, and production asks for it. How a deploy goes is in package
// deploy.
package staging

import (
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
)

// Name is that of the stage, and of its environment where no other is named.
const Name = "staging"

// New returns the stage.
func New(o deploy.Options) engine.Stage {
	o.Stage = Name
	if o.Environment == "" {
		o.Environment = Name
	}
	return deploy.New(o)
}
