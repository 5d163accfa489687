package workflow

import (
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// A Secret is a value that GitHub keeps.
type Secret struct {
	Name     string
	Variable bool   // no secret: a variable of the repository
	Default  string // GitHub's expression for when it is not set; empty: the variable is empty then
	For      string // what it is
	Lost     string // what is lost without it
	Rotate   string // how it is replaced
}

// Secrets are all that the workflows know of. None is needed to judge a pull request.
func Secrets() []Secret {
	return slices.Concat([]Secret{
		{
			Name: "EVIDENCE_KEY", For: "the private key that signs what a job found out",
			Lost:   "no evidence is made, so nothing can be released to production and no version can be tagged; each run says so",
			Rotate: "`mage evidence:keygen -file=new.key`; add the public half to `EVIDENCE_PUBLIC_KEY` first, then replace this one in the environments evidence, release, staging and production; take the old public half away when the oldest evidence that counts is older than `max_age`",
		},
		{
			Name: "EVIDENCE_PASSWORD", For: "the password of an `EVIDENCE_KEY` that cosign encrypted",
			Lost:   "nothing, if the key is not encrypted",
			Rotate: "with the key: the two belong together",
		},
		{
			Name: "EVIDENCE_PUBLIC_KEY", Variable: true, For: "the public keys that are trusted, one PEM block each",
			Lost:   "the other half of `EVIDENCE_KEY` alone is trusted; a tag, whose job has no private key, is refused",
			Rotate: "it holds several keys: add the new one before the old one goes",
		},
		{
			Name: "REGISTRY_USERNAME", Default: "github.actor", For: "the account of the container registry",
			Lost:   "nothing on ghcr.io: the job's own token pushes to packages of this repository",
			Rotate: "with `REGISTRY_PASSWORD`",
		},
		{
			Name: "REGISTRY_PASSWORD", Default: "github.token", For: "the token of that account",
			Lost:   "nothing on ghcr.io, as above; another registry is not reached, and the job release ends with exit code 3",
			Rotate: "make a second token at the registry with the right to push, replace this one, run the pipeline on develop, then revoke the first",
		},
		{
			Name: "DATABASE_URL", For: "a PostgreSQL server on which tests make databases of their own",
			Lost:   "nothing: tests start a server of their own",
			Rotate: "make a second role with the same rights, replace the value, redeploy, then drop the first",
		},
	}, deploySecrets(), notifySecrets())
}

func deploySecrets() []Secret {
	return []Secret{
		{
			Name: "DOCKER_HOST", Variable: true, For: "the container engine of the target: `ssh://deployer@host`",
			Lost:   "the deploy goes to the engine of the job's own machine, which is gone with it",
			Rotate: "an address needs none",
		},
		{
			Name: "DEPLOY_KNOWN_HOSTS", Variable: true, For: "the target's public SSH keys, as `ssh-keyscan` prints them",
			Lost:   "the target is not reached: no other host may pass for it",
			Rotate: "when the host's keys change: both lines first, then the new one alone",
		},
		{
			Name: "DEPLOY_SSH_KEY", For: "the private key of that account",
			Lost:   "the target is not reached",
			Rotate: "add the new public key to the account's authorized_keys, replace this one, deploy to staging, then take the old one away",
		},
	}
}

// ofEnvironment are the secrets that pipeline.yaml says an environment has, beside those that are known here. The database
// is another one there.
func ofEnvironment(p *config.Project, name string) []Secret {
	var all []Secret
	known := slices.DeleteFunc(names(Secrets(), "METER_ENVIRONMENT"), func(entry string) bool { return entry == "DATABASE_URL" })
	environment := p.Environments[name]
	for _, entry := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(environment.Required, environment.Secrets)))) {
		if slices.Contains(known, entry) {
			continue
		}
		all = append(all, Secret{
			Name: entry, For: "a value of the deployed system: see `env/.env.example`", Lost: "the deploy is refused; `mage env:check` names it",
			Rotate: "replace it where it is checked first, then here, and deploy again: a deploy brings its secrets to the target",
		})
	}
	return all
}

func notifySecrets() []Secret {
	mail := func(name, what string) Secret {
		return Secret{
			Name: name, For: what, Lost: "no e-mail is sent, and each run says so",
			Rotate: "replace it at the mail server first, then here; `mage notify:test` sends a sample",
		}
	}
	return []Secret{
		{
			Name: "SLACK_WEBHOOK_URL", For: "the incoming webhook of a channel",
			Lost:   "nothing is said in Slack, and each run says so",
			Rotate: "add a second webhook to the app in Slack, replace this one, `mage notify:test`, then remove the first",
		},
		mail("SMTP_URL", "the mail server with account and password: `smtps://user:password@host:465`; or the three that follow"),
		mail("SMTP_HOST", "the mail server"), mail("SMTP_USERNAME", "its account"), mail("SMTP_PASSWORD", "the account's password"),
	}
}

func signing() []string { return []string{"EVIDENCE_KEY", "EVIDENCE_PASSWORD", "EVIDENCE_PUBLIC_KEY"} }

func registry() []string {
	return []string{"REGISTRY_USERNAME", "REGISTRY_PASSWORD", "EVIDENCE_PUBLIC_KEY"}
}
func reaching() []string  { return names(deploySecrets()) }
func notifying() []string { return names(notifySecrets()) }

func names(secrets []Secret, more ...string) []string {
	for _, secret := range secrets {
		more = append(more, secret.Name)
	}
	return more
}

// expression is how a job's environment gets the value.
func (s Secret) expression() string {
	from := "secrets."
	if s.Variable {
		from = "vars."
	}
	if s.Default != "" {
		return "${{ " + from + s.Name + " || " + s.Default + " }}"
	}
	return "${{ " + from + s.Name + " }}"
}
