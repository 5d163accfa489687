package pipeline

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/notify/github/githubtest"
	"github.com/meter-ml/meter-pipeline/internal/notify/mail/mailtest"
)

// channels are a channel in Slack, a mail server and GitHub, all on this machine and each strict.
type channels struct {
	t      *testing.T
	github *githubtest.API
	office *mailtest.Office
	hook   string // of Slack

	mu    sync.Mutex
	slack []string // what a person reads there
}

func newChannels(t *testing.T) *channels {
	t.Helper()
	c := &channels{t: t, github: githubtest.Start(t), office: mailtest.Open(t, mailtest.Options{})}
	slack := httptest.NewServer(http.HandlerFunc(c.serveSlack))
	t.Cleanup(slack.Close)
	c.hook = slack.URL + "/services/T0/B0/" + hexadecimal(12)
	return c
}

func (c *channels) serveSlack(w http.ResponseWriter, r *http.Request) {
	var message any
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &message)
	}
	if err != nil || r.Method != http.MethodPost || !strings.HasSuffix(c.hook, r.URL.Path) || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		c.t.Errorf("Slack would refuse %s: %v: %s", r.Method, err, body)
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.slack = append(c.slack, strings.Join(texts(message), " "))
	c.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

// texts are all that stand in a message, in their order where that is a list.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			all = append(all, texts(one)...)
		}
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			all = append(all, text)
		}
		for _, key := range []string{"text", "url", "fields", "elements", "blocks", "attachments"} {
			if _, text := v[key].(string); !text || key == "url" {
				all = append(all, texts(v[key])...)
			}
		}
	case string:
		all = append(all, v)
	}
	return all
}

// trust writes the certificates that a job is to trust: the machine's, and the mail server's.
func (c *channels) trust() string {
	path := filepath.Join(c.t.TempDir(), "trusted.pem")
	known := os.Getenv("SSL_CERT_FILE")
	if known == "" {
		known = "/etc/ssl/certs/ca-certificates.crt"
	}
	bundle, err := os.ReadFile(known)
	if err != nil {
		c.t.Fatal(err)
	}
	bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.office.Certificate.Raw})...)
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// remembers has GitHub know of earlier runs, the newest first, with the artifacts that they left. It is asked once.
func (c *channels) remembers(runs []pastRun) {
	c.t.Helper()
	day := time.Now().AddDate(0, 0, -historyDays).UTC().Format(time.DateOnly)
	listed := make([]map[string]any, 0, len(runs))
	for _, run := range slices.Backward(runs) {
		listed = append(listed, map[string]any{"id": run.number, "event": run.event.Name, "head_sha": run.event.SHA, "html_url": "https://github.com/x"})
	}
	content, err := json.Marshal(map[string]any{"total_count": len(runs), "workflow_runs": listed})
	if err != nil {
		c.t.Fatal(err)
	}
	c.github.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
		"actions/workflows/pipeline.yml/runs?created=%3E%3D"+day+"&page=1&per_page=100&status=completed", http.StatusOK, content)
	for _, run := range runs {
		entries, err := os.ReadDir(run.artifacts)
		if err != nil {
			c.t.Fatal(err)
		}
		var artifacts []map[string]any
		for i, entry := range entries {
			id := run.number*100 + i
			artifacts = append(artifacts, map[string]any{
				"id": id, "node_id": "x", "name": entry.Name(), "size_in_bytes": 1, "url": "x", "archive_download_url": "x", "expired": false,
				"created_at": nil, "expires_at": nil, "updated_at": nil,
			})
			c.github.Answer("GET /repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}", fmt.Sprintf("actions/artifacts/%d/zip", id), http.StatusOK, c.zip(filepath.Join(run.artifacts, entry.Name())))
		}
		c.github.Answer("GET /repos/{owner}/{repo}/actions/runs/{run_id}/artifacts", fmt.Sprintf("actions/runs/%d/artifacts?per_page=100", run.number), http.StatusOK,
			map[string]any{"total_count": len(artifacts), "artifacts": artifacts})
	}
}

func (c *channels) zip(dir string) []byte {
	c.t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		c.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
	return b.Bytes()
}

// told takes what came since the last call: messages in Slack, and letters with their subjects.
func (c *channels) told() (slack, letters []string) {
	c.t.Helper()
	for _, letter := range c.office.Letters() {
		letters = append(letters, c.read(letter))
	}
	c.office.Clear()
	c.mu.Lock()
	defer c.mu.Unlock()
	slack, c.slack = c.slack, nil
	return slack, letters
}

// read is what a person reads of a letter: subject, recipient and the part that is plain text.
func (c *channels) read(l mailtest.Letter) string {
	c.t.Helper()
	letter, err := mail.ReadMessage(strings.NewReader(l.Body))
	if err != nil {
		c.t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil {
		c.t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil {
		c.t.Fatal(err)
	}
	parts := multipart.NewReader(letter.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			c.t.Fatalf("a letter without plain text: %v", err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			text, err := io.ReadAll(quotedprintable.NewReader(part))
			if err != nil {
				c.t.Fatal(err)
			}
			return subject + "\nto " + l.To + "\n" + string(text)
		}
	}
}

// holds demands that one of some messages says all these words.
func holds(t testing.TB, messages []string, words ...string) {
	t.Helper()
	if !slices.ContainsFunc(messages, func(message string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(message, word) })
	}) {
		t.Errorf("nobody is told %q:\n%s", words, strings.Join(messages, "\n---\n"))
	}
}
