// Package production is the ninth stage: images that were judged, and are done on staging, take over the traffic of their
// predecessors, weight by weight, each judged.
//
// Its gate believes signed evidence alone. How a deploy goes is in package deploy.
package production

import (
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
)

// Name is that of the stage, and of its environment where no other is named.
const Name = "production"

// New returns the stage.
func New(o deploy.Options) engine.Stage {
	o.Stage = Name
	if o.Environment == "" {
		o.Environment = Name
	}
	return deploy.New(o)
}
