package notify

import (
	"net/url"
	"strings"
)

// stageTitle is what the users' documentation calls a stage.
func stageTitle(name string) string {
	titles := map[string]string{
		"quality": "Code Quality & Linting", "security": "Security Scanning", "unit": "Unit Tests", "image": "Docker Image Build",
		"data": "Data Validation", "integration": "Integration Tests", "benchmark": "Performance Benchmarks",
		"staging": "Deploy to Staging", "production": "Deploy to Production", "notify": "Notifications",
	}
	if title, ok := titles[name]; ok {
		return title
	}
	return name
}

// webAddress returns s if a reader may follow it, else nothing: a link in a message is clicked without a look.
func webAddress(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(s, "<>\"'`|\\ ") || len(s) > 1000 {
		return ""
	}
	return u.String()
}

// join makes an address below a base of parts that are names, not paths.
func join(base string, parts ...string) string {
	if base == "" {
		return ""
	}
	escaped := make([]string, len(parts))
	for i, part := range parts {
		if part == "" {
			return ""
		}
		escaped[i] = url.PathEscape(part)
	}
	return webAddress(strings.TrimRight(base, "/") + "/" + strings.Join(escaped, "/"))
}
