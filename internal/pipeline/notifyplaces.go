package pipeline

import (
	"errors"
	"net/url"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/courier"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/github"
	"github.com/meter-ml/meter-pipeline/internal/notify/mail"
	"github.com/meter-ml/meter-pipeline/internal/notify/slack"
)

// places are all channels, also those that are not configured, with the reason.
func (s *Session) places() []notify.Place {
	return []notify.Place{s.slackPlace(), s.mailPlace(), s.githubPlace()}
}

func (s *Session) slackPlace() notify.Place {
	p := notify.Place{Name: "slack"}
	address := s.Host.Get(slack.Variable)
	if address == "" {
		p.Skip = slack.Variable + " is not set"
		return p
	}
	channel, err := slack.New(slack.Options{URL: address, Secrets: s.channelSecrets()})
	p.Channel, p.Err = channel, err
	return p
}

func (s *Session) mailPlace() notify.Place {
	p := notify.Place{Name: "mail"}
	list := s.Project.Notify.Mail
	if len(list.To) == 0 {
		p.Skip = "notify.mail.to names nobody in pipeline.yaml"
		return p
	}
	server, err := mail.ServerFrom(s.Host.Get)
	if errors.Is(err, mail.ErrNoServer) {
		p.Skip = err.Error()
		return p
	}
	p.Err = err
	p.Channel = mail.New(mail.Options{Server: server, From: list.From, To: list.To, Secrets: s.channelSecrets()})
	return p
}

func (s *Session) githubPlace() notify.Place {
	p := notify.Place{Name: "github"}
	token := s.Host.Get(forge.TokenVariable)
	if token == "" {
		p.Skip = forge.TokenVariable + " is not set"
		return p
	}
	client, err := forge.New(forge.Options{
		API: s.Host.Get(forge.APIVariable), Repository: s.repository(), Token: token, Sending: courier.Options{Secrets: s.channelSecrets()},
	})
	p.Channel, p.Err = github.New(client), err
	return p
}

// repository is owner/name on GitHub.
func (s *Session) repository() string {
	if name := s.Host.Get(forge.RepositoryVariable); name != "" {
		return name
	}
	u, err := url.Parse(s.Project.Image.Source)
	if err != nil || u.Host != "github.com" {
		return ""
	}
	return strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
}

// channelSecrets are the values of this process that no message may show, and what is inside of them.
func (s *Session) channelSecrets() []string {
	secrets := s.Host.Secrets(s.Project)
	if u, err := url.Parse(s.Host.Get(mail.URLVariable)); err == nil {
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		}
	}
	return secrets
}
