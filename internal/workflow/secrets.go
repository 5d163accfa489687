package workflow

import "slices"

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
			Name: "DATABASE_URL", For: "a PostgreSQL server on which tests make databases of their own (evidence, release), and the system's (staging, production)",
			Lost:   "nothing for tests: they start a server of their own; a deploy is refused",
			Rotate: "make a second role with the same rights, replace the value, redeploy, then drop the first",
		},
	}, deploySecrets(), notifySecrets())
}

func deploySecrets() []Secret {
	return []Secret{
		{
			Name: "MLFLOW_TRACKING_URI", For: "the tracking server of staging and production; tests start one of their own",
			Lost:   "a deploy is refused: `mage env:check` names it",
			Rotate: "if its address holds a password: as `DATABASE_URL`",
		},
		{
			Name: "DEPLOY_HOST", For: "the address of the target's container engine: `ssh://deployer@host`",
			Lost:   "a deploy is refused",
			Rotate: "an address needs none",
		},
		{
			Name: "DEPLOY_SSH_KEY", For: "the key of that account",
			Lost:   "a deploy is refused",
			Rotate: "add the new public key to the account's authorized_keys, replace this one, deploy to staging, then take the old one away",
		},
	}
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
		mail("SMTP_HOST", "the mail server"), mail("SMTP_USERNAME", "its account"), mail("SMTP_PASSWORD", "the account's password"),
	}
}

func signing() []string { return []string{"EVIDENCE_KEY", "EVIDENCE_PASSWORD", "EVIDENCE_PUBLIC_KEY"} }

func registry() []string {
	return []string{"REGISTRY_USERNAME", "REGISTRY_PASSWORD", "EVIDENCE_PUBLIC_KEY"}
}
func deploying() []string { return names(deploySecrets(), "DATABASE_URL") }
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
