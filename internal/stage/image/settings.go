package image

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// configStep judges what an image says of itself to an engine: it is what runs, whatever the Dockerfile looks like.
func configStep(images []config.ContainerImage) engine.Step {
	return engine.Step{
		Name: configName, Judges: "user, health check, entry point and labels of images", After: []string{buildName},
		Func: func(_ context.Context, scope engine.Scope) (engine.Judgement, error) {
			handed, err := builtImages(scope.Artifacts, images)
			if err != nil {
				return engine.Judgement{}, err
			}
			j := engine.Judgement{Judged: len(handed), Unit: "images"}
			for n, image := range handed {
				opened, err := read(image)
				if err != nil {
					return engine.Judgement{}, err
				}
				config, err := opened.ConfigFile()
				if err != nil {
					return engine.Judgement{}, fmt.Errorf("read configuration of image %s: %w", image.Name, err)
				}
				j.Findings = append(j.Findings, judgeConfig(images[n], config.Config)...)
			}
			return j, nil
		},
	}
}

// numericUser is a user other than root, by number, with a group other than root's: who is called by a name is known
// only inside of the image.
var numericUser = regexp.MustCompile(`^[1-9][0-9]*(:[1-9][0-9]*)?$`)

// wantedLabels are those of https://github.com/opencontainers/image-spec/blob/main/annotations.md.
func wantedLabels() []string {
	const prefix = "org.opencontainers.image."
	return []string{prefix + "source", prefix + "revision", prefix + "version", prefix + "created"}
}

func judgeConfig(image config.ContainerImage, c v1.Config) []engine.Finding {
	var findings []engine.Finding
	found := func(rule string, severity engine.Severity, message, help string) {
		findings = append(findings, engine.Finding{
			Rule: rule, Severity: severity, Path: image.Dockerfile, Message: "image " + image.Name + ": " + message, Help: help,
		})
	}
	if !numericUser.MatchString(c.User) {
		found("root-user", engine.SeverityHigh, fmt.Sprintf("it runs as %s", orRoot(c.User)), userHelp)
	}
	if c.Healthcheck == nil || len(c.Healthcheck.Test) == 0 || c.Healthcheck.Test[0] == "NONE" {
		found("no-health-check", engine.SeverityMedium, "it has no health check, so nobody notices when it hangs", healthHelp)
	}
	switch {
	case len(c.Entrypoint) == 0 && len(c.Cmd) == 0:
		found("no-entry-point", engine.SeverityMedium, "it has no entry point and no command", entryHelp)
	case isShell(c.Entrypoint), len(c.Entrypoint) == 0 && isShell(c.Cmd):
		found("shell-entry-point", engine.SeverityMedium, "a shell is its first process, which does not pass signals on", entryHelp)
	}
	for _, label := range wantedLabels() {
		if strings.TrimSpace(c.Labels[label]) == "" {
			found("missing-label", engine.SeverityMedium, "the label "+label+" is missing or empty", "set it in the Dockerfile from a build argument, as the others are")
		}
	}
	return findings
}

const (
	userHelp   = "set USER to a number other than 0, such as USER 10001:10001, in the last stage"
	healthHelp = "give the last stage a HEALTHCHECK that asks the server: docker/healthcheck.py does, without curl"
	entryHelp  = `write ENTRYPOINT in its exec form, a JSON array: ENTRYPOINT ["python3", "-m", "api.server"]`
)

func orRoot(user string) string {
	if user == "" {
		return "root, since no USER is set"
	}
	return fmt.Sprintf("%q, which is root or no number", plain.Line(python.Shorten(user, 40)))
}

// isShell recognises what the shell form becomes.
func isShell(command []string) bool {
	if len(command) < 2 || !strings.HasPrefix(command[1], "-") || !strings.HasSuffix(command[1], "c") {
		return false
	}
	name := command[0][strings.LastIndexByte(command[0], '/')+1:]
	return name == "sh" || name == "bash" || name == "dash" || name == "ash"
}
