package tags_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

func TestDeadRegistryLeavesNoTag(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	r := after(t, onMain, server, "meter-ml", images)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex // blobs are sent at the same time
	var said []string
	r.scope.Log = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
		if strings.HasSuffix(said[len(said)-1], "/model-api") {
			server.Kill() // the first image has arrived, the second is about to be sent
		}
		if strings.Contains(said[len(said)-1], "connection refused; next try in") {
			cancel() // nobody waits that long
		}
	}
	if _, err := image.PushStep(r.project, image.PushOptions{}).Func(ctx, r.scope); !errors.Is(err, context.Canceled) {
		t.Errorf("to a registry that is dead: %v", err)
	}
	if log := strings.Join(said, "\n"); !strings.Contains(log, "mlflow@"+images[0].Digest+": 3 blobs sent") || !strings.Contains(log, "connection refused; next try in") {
		t.Errorf("it was not killed between the images: %s", log)
	}
	server.Restart()
	r.has()
	r.scope.Log = t.Logf
	if _, err := r.push(image.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	r.has(r.source.Commit[:10])
}

func TestNoTagWithoutGates(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	r := after(t, onMain, server, "meter-ml", images)
	if _, err := r.release(gated()); err == nil || !strings.Contains(err.Error(), "mage image:push") {
		t.Errorf("before the push: %v", err)
	}
	if _, err := r.push(image.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.release(image.ReleaseOptions{}); err == nil || !strings.Contains(err.Error(), "integration and benchmark") {
		t.Errorf("without gates: %v", err)
	}
	judgement, err := r.release(image.ReleaseOptions{Verify: func(context.Context, engine.Scope, handover.Pushed) ([]engine.Finding, error) {
		return []engine.Finding{{Rule: "missing", Message: "there is no evidence of the benchmark"}}, nil
	}})
	if err != nil || len(judgement.Findings) != 1 {
		t.Errorf("without evidence: %+v, %v", judgement, err)
	}
	r.has(r.source.Commit[:10])
}
