package forge

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// pages of comments that are looked at; a hundred each.
const pages = 10

type comment struct {
	ID   int64  `json:"id,omitempty"`
	Body string `json:"body"`
	User struct {
		Type string `json:"type"`
	} `json:"user,omitzero"`
}

type text struct {
	Body string `json:"body"`
}

// Upsert makes a comment of a pull request, or brings the one up to date that begins with the same mark. It says what it
// did: made, updated, or unchanged. A person's comment is left alone, whatever it begins with.
func (c *Client) Upsert(ctx context.Context, pull int, mark, body string) (string, error) {
	thread := []string{"issues", strconv.Itoa(pull), "comments"}
	for page := 1; page <= pages; page++ {
		var found []comment
		list := Call{Method: http.MethodGet, Path: thread, Query: "per_page=100&page=" + strconv.Itoa(page)}
		if err := c.ask(ctx, list, &found); err != nil {
			return "", err
		}
		for _, one := range found {
			if !strings.HasPrefix(one.Body, mark) || one.User.Type != "Bot" {
				continue
			}
			if strings.ReplaceAll(one.Body, "\r\n", "\n") == body {
				return "unchanged", nil
			}
			edit := Call{Method: http.MethodPatch, Path: []string{"issues", "comments", strconv.FormatInt(one.ID, 10)}, Body: text{body}}
			return "updated", c.ask(ctx, edit, nil)
		}
		if len(found) == 0 {
			break
		}
	}
	// Sent twice, it would be there twice.
	return "made", c.ask(ctx, Call{Method: http.MethodPost, Path: thread, Body: text{body}, Once: true}, nil)
}
