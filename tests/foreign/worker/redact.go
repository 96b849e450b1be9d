package main

import (
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// shortestSecret keeps words such as "v3" in a URL's path from being taken for keys.
const shortestSecret = 6

var (
	urlPattern  = regexp.MustCompile(`(?i)\b(https?|wss?)://[^\s"'<>)\]]+`)
	urlBoundary = regexp.MustCompile(`[/?&=:@#]`)
)

// Redactor knows the secrets that may appear in no log line, message or report (SEC-1).
// It is safe for concurrent use.
type Redactor struct {
	mu      sync.Mutex
	secrets []string
}

// Hide remembers secrets.
func (r *Redactor) Hide(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= shortestSecret && !slices.Contains(r.secrets, secret) {
			r.secrets = append(r.secrets, secret)
		}
	}
	// The longest first, so that none is left half replaced.
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
}

// HideURL remembers a URL and each of its parts but the host: user information, path and query are where
// providers put their keys. Of a URL that can't be parsed every part is hidden.
func (r *Redactor) HideURL(address string) {
	r.Hide(address)
	private := address
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		private = strings.Replace(address, parsed.Host, "", 1)
	}
	for _, word := range urlBoundary.Split(private, -1) {
		r.Hide(word)
		if plain, err := url.QueryUnescape(word); err == nil {
			r.Hide(plain)
		}
	}
}

// Clean returns a text without URLs and without any secret.
func (r *Redactor) Clean(text string) string {
	text = urlPattern.ReplaceAllString(text, "[url]")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}

// Attribute cleans one attribute of a log line; it is what slog.HandlerOptions.ReplaceAttr takes.
func (r *Redactor) Attribute(_ []string, attribute slog.Attr) slog.Attr {
	switch value := attribute.Value.Any().(type) {
	case string:
		attribute.Value = slog.StringValue(r.Clean(value))
	case error:
		attribute.Value = slog.StringValue(r.Clean(value.Error()))
	}
	return attribute
}
