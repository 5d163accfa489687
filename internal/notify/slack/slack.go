// Package slack says messages in a channel of Slack, through an incoming webhook.
//
// Text of foreign origin stands in rich text and in plain text only, where it is what it is: in Slack's markup a branch
// called <!channel> would wake up everybody. The webhook's address is a secret: who has it can write to the channel.
package slack

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/courier"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// Variable names the webhook.
const Variable = "SLACK_WEBHOOK_URL"

// Options say how to reach Slack.
type Options struct {
	URL     string         // of the webhook
	Roots   *x509.CertPool // nil is the machine's own list
	Secrets []string       // beside the address
	Pause   time.Duration  // see courier.Options
	Try     time.Duration
}

// A Channel is one channel of Slack.
type Channel struct {
	url     string
	courier *courier.Courier
}

// New returns a channel.
func New(o Options) (*Channel, error) {
	address := strings.TrimSpace(o.URL)
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New(Variable + " is not the address of a webhook: copy it from the settings of the app in Slack, as https://hooks.slack.com/services/…")
	}
	// A server that quotes what it was asked for quotes the path, or its last part.
	secrets := append([]string{address, u.Path, u.RequestURI()}, o.Secrets...)
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) > 6 && part != "services" && part != "workflows" && part != "triggers" {
			secrets = append(secrets, part)
		}
	}
	return &Channel{url: address, courier: courier.New(courier.Options{Roots: o.Roots, Secrets: secrets, Pause: o.Pause, Try: o.Try})}, nil
}

// Send implements notify.Channel.
func (c *Channel) Send(ctx context.Context, m notify.Message, say func(string, ...any)) (string, error) {
	defer c.courier.Close()
	body, err := payload(m)
	if err != nil {
		return "", err
	}
	answer, err := c.courier.Do(ctx, courier.Request{
		Method: http.MethodPost, URL: c.url, Body: body,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "User-Agent": {"meter-pipeline"}},
	}, say)
	if err != nil {
		return "", fmt.Errorf("tell Slack: %w", err)
	}
	if words := c.courier.Words(answer); answer.Status != http.StatusOK || strings.TrimSpace(words) != "ok" {
		return "", fmt.Errorf("tell Slack: it answers %d %q: %s", answer.Status, words, remedy(answer.Status, words))
	}
	return "1 message", nil
}

// Preview implements notify.Channel.
func (c *Channel) Preview(m notify.Message) (string, error) {
	body, err := payload(m)
	if err != nil {
		return "", err
	}
	var pretty strings.Builder
	encoder := json.NewEncoder(&pretty)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(json.RawMessage(body)); err != nil {
		return "", err
	}
	return pretty.String(), nil
}

// remedy is what a person does about Slack's answer: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
func remedy(status int, words string) string {
	switch {
	case status == http.StatusNotFound, strings.Contains(words, "no_service"), strings.Contains(words, "invalid_token"):
		return "the webhook was revoked, or never was: make a new one in Slack and set " + Variable
	case status == http.StatusGone, strings.Contains(words, "channel_is_archived"), strings.Contains(words, "channel_not_found"):
		return "its channel is gone: make a webhook for another one and set " + Variable
	case status == http.StatusForbidden:
		return "an administrator of the workspace forbids it"
	case status == http.StatusBadRequest:
		return "it does not take the message: `mage notify:test -dryRun` prints it, please report it"
	case status == http.StatusOK:
		return "that is not Slack's answer: see what stands between here and " + Variable
	}
	return "see https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"
}
