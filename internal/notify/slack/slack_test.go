package slack

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

const schemaFile = "testdata/message.schema.json"

// mostText is what Slack takes in all; more is cut or refused, by no documented rule.
const mostText = 13_000

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check holds a payload against Slack's schema and limits.
func check(t *testing.T, s *jsonschema.Schema, body []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("Slack would refuse it: %v", err)
	}
	blocks := v.(map[string]any)["blocks"].([]any)
	if len(blocks) == 0 || len(blocks) > mostBlocks {
		t.Errorf("%d blocks", len(blocks))
	}
	total := 0
	for _, block := range blocks {
		each(block, func(of string, object map[string]any) {
			text, _ := object["text"].(string)
			total += utf8.RuneCountInString(text)
			if _, is := object["text"].(string); is && text == "" {
				t.Errorf("an empty text in %v", block)
			}
			if elements, ok := object["elements"].([]any); ok && of != "context" {
				length := 0
				for _, e := range elements {
					word, _ := e.(map[string]any)["text"].(string)
					length += utf8.RuneCountInString(word)
				}
				if len(elements) == 0 || length > longestSection {
					t.Errorf("%s has %d elements with %d characters", of, len(elements), length)
				}
			}
		})
	}
	if total > mostText {
		t.Errorf("%d characters in all", total)
	}
}

// each calls f for every object below one with a type.
func each(v any, f func(of string, object map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			each(e, f)
		}
	case map[string]any:
		of, _ := v["type"].(string)
		f(of, v)
		for _, e := range v {
			each(e, f)
		}
	}
}

func TestPayloads(t *testing.T) {
	s := schema(t)
	for name, m := range notifytest.Messages() {
		t.Run(name, func(t *testing.T) {
			body, err := payload(m)
			if err != nil {
				t.Fatal(err)
			}
			check(t, s, body)
			if name == "many" {
				return // 30 KB of the same
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			reporttest.Golden(t, *update, name+".golden.json", pretty.String()+"\n")
		})
	}
}

// The limits are read where Slack wrote them, so that a newer schema with other ones is seen.
func TestLimitsAreSlacks(t *testing.T) {
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	content := string(raw)
	for _, limit := range []struct {
		words string
		ours  int
	}{
		{`form of a \{@link PlainTextElement \}\.\\nMaximum length for the text in this field is (\d+) characters`, longestHeader},
		{`The text for the block\. The minimum length is 1 and maximum length is (\d+) characters`, longestSection},
	} {
		m := regexp.MustCompile(limit.words).FindStringSubmatch(content)
		if m == nil {
			t.Errorf("the schema no longer says %s", limit.words)
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != limit.ours {
			t.Errorf("Slack's limit is %d, ours %d", n, limit.ours)
		}
	}
}

// The schema must be able to refuse: what Slack would not take is not taken here.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	for _, body := range []string{
		`{}`, `{"blocks":[{"type":"header"}]}`, `{"blocks":[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]}`,
		`{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]}`, `{"blocks":[],"colour":"red"}`,
		`{"blocks":[{"type":"rich_text","elements":[{"type":"text","text":"x"}]}]}`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("it takes %s", body)
		}
	}
}

func TestHostileTextIsHarmless(t *testing.T) {
	s := schema(t)
	for _, attack := range notifytest.Attacks() {
		t.Run(attack.Name, func(t *testing.T) {
			for _, m := range notifytest.Attacked(attack.Text) {
				body, err := payload(m)
				if err != nil {
					t.Fatal(err)
				}
				check(t, s, body)
				harmless(t, body)
			}
		})
	}
}

// harmless demands that foreign text stands only where it is what it is.
func harmless(t *testing.T, body []byte) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	// The one text that is markup: no mention, link or emphasis can come of it.
	summary := v["text"].(string)
	if regexp.MustCompile("[<>*~`\n]|@[a-z]|#[A-Z]|://").MatchString(summary) {
		t.Errorf("the summary is %q", summary)
	}
	each(v["blocks"], func(of string, object map[string]any) {
		switch of {
		case "header", "plain_text", "rich_text", "rich_text_section", "rich_text_list", "rich_text_preformatted", "text", "context", "divider", "":
		case "link":
			if url := object["url"].(string); !strings.HasPrefix(url, "https://github.com/meter-ml/") && !strings.HasPrefix(url, "https://meter.example.org") {
				t.Errorf("a link to %q", url)
			}
		default:
			t.Errorf("a block of the kind %q", of)
		}
		for _, field := range object {
			if text, ok := field.(string); ok && strings.ContainsFunc(text, func(r rune) bool {
				return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
			}) {
				t.Errorf("%q steers who reads it", text)
			}
		}
	})
}

// webhook makes an address as Slack does, from nothing that stands in the repository.
func webhook(t *testing.T) (path string, secrets []string) {
	t.Helper()
	random := func(n int) string {
		b := make([]byte, n)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b)
	}
	team, bot, last := "T"+random(5), "B"+random(5), random(12)
	return "/services/" + team + "/" + bot + "/" + last, []string{team, bot, last}
}

func TestFailuresOfTheServer(t *testing.T) {
	path, secrets := webhook(t)
	s := schema(t)
	notifytest.EightWays(t, notifytest.Subject{
		Message: notifytest.Messages()["failure"], Secrets: secrets, Revoked: "make a new one in Slack and set SLACK_WEBHOOK_URL",
		New: func(t *testing.T, address string, roots *x509.CertPool) notify.Channel {
			t.Helper()
			c, err := New(Options{URL: address + path, Roots: roots, Pause: 50 * time.Millisecond, Try: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Answer: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.URL.Path != path || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
				t.Errorf("%s %s %v: %v", r.Method, r.URL.Path, r.Header, err)
			}
			check(t, s, body)
			_, _ = io.WriteString(w, "ok")
		}),
	})
}

func TestAnswers(t *testing.T) {
	path, _ := webhook(t)
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{200, "ok", ""},
		{200, "ok\n", ""},
		{200, "", "not Slack's answer"},
		{400, "invalid_payload", "notify:test -dryRun"},
		{403, "action_prohibited", "administrator"},
		{403, "invalid_token", "make a new one"},
		{404, "no_team", "make a new one"},
		{410, "channel_is_archived", "its channel is gone"},
		{418, "teapot", "docs.slack.dev"},
	} {
		t.Run(tt.body, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			c, err := New(Options{URL: server.URL + path})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Send(t.Context(), notifytest.Messages()["success"], t.Logf)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNoWebhook(t *testing.T) {
	for _, address := range []string{"secret-word", "https://hooks.slack.com", "https://hooks.slack.com/", "://secret-word/", "https://host:secret-word/x"} {
		if _, err := New(Options{URL: address}); err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
