package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// anchorType is of the artifact that keeps the head of an audit log.
const anchorType = "application/vnd.meter-pipeline.audit-anchor.v1+json"

// An Anchor is the head of an audit log, kept where whoever can write the log can't write: in the registry.
type Anchor struct {
	Environment string    `json:"environment"`
	Head        string    `json:"head"` // HASH:N
	Time        time.Time `json:"time"`
}

// A Keeper keeps anchors; *registry.Client is one.
type Keeper interface {
	Keep(ctx context.Context, repository, tag string, artifact registry.Artifact) (string, error)
	Resolve(ctx context.Context, reference string) (registry.Resolved, error)
	Fetch(ctx context.Context, repository, digest string) (registry.Fetched, error)
}

// AnchorRepository is where the anchors are kept, each under a tag of its environment's own.
func AnchorRepository(p *config.Project, host string) string {
	return p.Image.Repository(host, config.ContainerImage{Repository: "deploys"})
}

func anchorTag(environment string) string { return "audit-" + environment }

// Anchored is the anchor that was kept last; false if none was.
func Anchored(ctx context.Context, k Keeper, repository, environment string) (Anchor, bool, error) {
	found, err := k.Resolve(ctx, repository+":"+anchorTag(environment))
	if errors.Is(err, registry.ErrNotFound) {
		return Anchor{}, false, nil
	}
	if err != nil {
		return Anchor{}, false, fmt.Errorf("read the audit log's anchor: %w", err)
	}
	artifact, err := k.Fetch(ctx, repository, found.Digest)
	if err != nil {
		return Anchor{}, false, fmt.Errorf("read the audit log's anchor: %w", err)
	}
	var a Anchor
	if artifact.Type != anchorType || len(artifact.Blobs) != 1 || json.Unmarshal(artifact.Blobs[0].Content, &a) != nil ||
		a.Environment != environment || !validHead(a.Head) {
		return Anchor{}, false, fmt.Errorf("read the audit log's anchor: %s:%s is none: somebody has put something else there", repository, anchorTag(environment))
	}
	return a, true, nil
}

func validHead(head string) bool {
	return regexp.MustCompile(`^[0-9a-zA-Z:]{8,200}$`).MatchString(head)
}

// anchor checks the audit log against the last anchor, and only then keeps its new head.
func (d deployer) anchor(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Judged: 1, Unit: "audit logs"}
	client, err := d.connect(scope)
	if err != nil {
		return j, err
	}
	target := d.target(scope)
	repository := AnchorRepository(d.project, scope.Env["METER_REGISTRY"])
	findings, note, err := d.chain(ctx, client, target, repository)
	if err != nil || len(findings) > 0 {
		j.Findings = findings
		return j, err
	}
	head, err := target.Head(ctx)
	if err != nil {
		return j, err
	}
	if !validHead(head) {
		return j, fmt.Errorf("anchor the audit log: its head is %q", head)
	}
	content, err := json.Marshal(Anchor{Environment: d.Environment, Head: head, Time: d.Now().UTC()})
	if err != nil {
		return j, fmt.Errorf("anchor the audit log: %w", err)
	}
	_, err = client.Keep(ctx, repository, anchorTag(d.Environment), registry.Artifact{
		Type: anchorType, Blobs: []registry.Blob{{MediaType: "application/json", Content: content}},
	})
	if err != nil {
		return j, fmt.Errorf("anchor the audit log: %w", err)
	}
	if err := d.mark(ctx, scope, client); err != nil {
		return j, err
	}
	j.Notes = append(j.Notes, note, fmt.Sprintf("its head is kept as %s:%s", repository, anchorTag(d.Environment)))
	return j, nil
}

// mark gives the images the tag of their source tree where another environment promotes what is done here: so a merge of
// the same tree finds them. It proves nothing; who finds them asks for evidence.
func (d deployer) mark(ctx context.Context, scope engine.Scope, client *registry.Client) error {
	promoted := false
	for _, other := range d.project.Environments {
		promoted = promoted || other.Promotes == d.Environment
	}
	pushed, err := handover.ReadPushed(scope.Artifacts)
	if err != nil || !promoted || pushed.Dirty {
		return err
	}
	for _, i := range pushed.Images {
		if _, err := client.Tag(ctx, i.Repository, i.Digest, image.StagedTag(strings.TrimPrefix(pushed.Tree, "gitTree:")), false); err != nil {
			return err
		}
	}
	return nil
}

// chain holds a target's audit log against the anchor that was kept elsewhere. A log that is gone is damaged, too.
func (d deployer) chain(ctx context.Context, k Keeper, target *remote.Target, repository string) ([]engine.Finding, string, error) {
	kept, there, err := Anchored(ctx, k, repository, d.Environment)
	if err != nil {
		return nil, "", err
	}
	text, err := target.Verify(ctx, kept.Head)
	switch {
	case errors.Is(err, remote.ErrNoAgent) && !there:
		return nil, "there is no audit log yet: nothing was ever deployed to " + d.Environment, nil
	case errors.Is(err, remote.ErrNoAgent):
		return nil, "no agent runs on the target, which could say what its audit log holds: the step " + agentName + " looks", nil
	case errors.Is(err, remote.ErrRefused):
		return []engine.Finding{{
			Rule: "audit-log", Severity: engine.SeverityCritical, Message: fmt.Sprintf("the audit log of %s is damaged: %s", d.Environment, err),
			Help: "find out who changed it before anything is deployed: `mage deploy:history -verify -env=" + d.Environment + "`",
		}}, text, nil
	case err != nil:
		return nil, "", err
	}
	return nil, "audit log: " + text, nil
}
