package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestCleanHidesSecretsInEveryForm(t *testing.T) {
	const address = "http://user%40a:pass-word@node.example:8545/v3/0123456789abcdef?token=a%2Bsecret&x=1"
	redactor := new(Redactor)
	redactor.HideURL(address)
	redactor.Hide("worker-token")
	text := "at " + address + ", node.example:8545: path v3/0123456789abcdef; a+secret a%2Bsecret pass-word user@a worker-token"
	got := redactor.Clean(text)
	for _, secret := range []string{"0123456789abcdef", "secret", "pass-word", "user", "worker-token"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is in %s", secret, got)
		}
	}
	if !strings.Contains(got, "node.example:8545") {
		t.Errorf("the host is no secret: %s", got)
	}
}

func TestUnparsableURLIsHiddenToo(t *testing.T) {
	redactor := new(Redactor)
	redactor.HideURL("http://user:pass-word@host:port%/key-of-mine")
	if got := redactor.Clean("pass-word key-of-mine"); strings.Contains(got, "word") || strings.Contains(got, "mine") {
		t.Error(got)
	}
}

func TestLogLinesAreCleaned(t *testing.T) {
	redactor := new(Redactor)
	redactor.Hide(`a "quoted" secret`)
	var written bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{ReplaceAttr: redactor.Attribute}))
	logger.With("token", `a "quoted" secret`).Error(`a "quoted" secret`, "error", errors.New(`a "quoted" secret`))
	if strings.Contains(written.String(), "quoted") {
		t.Error(written.String())
	}
}

func TestTailKeepsWholeLines(t *testing.T) {
	var tail Tail
	for range 1000 {
		_, _ = tail.Write([]byte("http://node.example/key\n"))
	}
	got := tail.String()
	if len(got) > keptBytes || !strings.HasPrefix(got, "http://node.example/key\n") {
		t.Errorf("%d bytes: %.60s", len(got), got)
	}
	_, _ = tail.Write(bytes.Repeat([]byte("x"), 2*keptBytes))
	if got := tail.String(); got != "" {
		t.Errorf("part of a line: %.60s", got)
	}
}
