package workflow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

const secretsIntro = `<!-- Written by ` + "`mage ci:generate`" + `; do not edit. -->
# Secrets and variables in GitHub

None of them is needed to judge a pull request: its jobs have none, whoever opened it. What is not set is said in the log
of each push, with what is lost. Each belongs into the environments that are named with it (Settings, Environments), not
to the repository: a job gets the secrets of its environment only, and an environment can be bound to branches.

| environment | bind it to | for |
|---|---|---|
| evidence | main, develop | judging jobs of a push, which sign what they found out |
| release | main, develop, tags v* | pushing images, and naming them |
%s
Nothing is deployed to the first two; they hold secrets. ` + "`mage ci:rules`" + ` says which of them lack what.

| name | what it is | where | what is lost without it |
|---|---|---|---|
`

// secretsPage is docs/secrets.md: the secrets of the jobs that there are.
func secretsPage(w Workflow, p *config.Project) string {
	places, known := map[string][]string{}, Secrets()
	for _, job := range w.Jobs {
		place := job.Environment
		if place == evidenceEnv {
			place = "evidence"
		}
		if job.Deploy != "" {
			for _, secret := range ofEnvironment(p, job.Deploy) {
				if !slices.ContainsFunc(known, func(s Secret) bool { return s.Name == secret.Name }) {
					known = append(known, secret)
				}
				places[secret.Name] = append(places[secret.Name], place)
			}
		}
		for _, secret := range job.Secrets {
			if !slices.Contains(places[secret], place) {
				places[secret] = append(places[secret], place)
			}
		}
	}
	deploys := ""
	for _, row := range [][2]string{
		{"staging", "| staging | main, develop | deploys to staging |\n"},
		{"production", "| production | main, with a required reviewer | deploys to production |\n"},
		{"notify", "| notify | any branch | messages |\n"},
	} {
		if slices.Contains(ids(w.Jobs), row[0]) {
			deploys += row[1]
		}
	}
	var b, rotate strings.Builder
	fmt.Fprintf(&b, secretsIntro, deploys)
	for _, secret := range known {
		if len(places[secret.Name]) == 0 {
			continue
		}
		kind := "secret"
		if secret.Variable {
			kind = "variable"
		}
		fmt.Fprintf(&b, "| `%s` (%s) | %s | %s | %s |\n", secret.Name, kind, secret.For, strings.Join(places[secret.Name], ", "), secret.Lost)
		fmt.Fprintf(&rotate, "- **`%s`**: %s.\n", secret.Name, secret.Rotate)
	}
	b.WriteString("\n`METER_CODE_SCANNING` (variable of the repository): `off` where code scanning is not to be had; findings are then in the\nsummary and the artifacts only.\n")
	b.WriteString("\n## Replacing one\n\nTwice a year, at once when somebody leaves who knew it, and first of all when it was seen anywhere. In any case the new\none comes before the old one goes:\n\n")
	b.WriteString(rotate.String())
	return b.String()
}

// Missing says of each secret that a job should have and that is empty what is lost without it. GitHub sets the variable
// of a missing one to nothing; one that is not set at all is not wanted.
func Missing(env []string) []string {
	var lines []string
	for _, secret := range Secrets() {
		if secret.Default == "" && slices.Contains(env, secret.Name+"=") {
			lines = append(lines, fmt.Sprintf("%s is not set: %s", secret.Name, secret.Lost))
		}
	}
	return lines
}
