package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// answering makes a dispatcher that gives one answer to everything.
func answering(t *testing.T, status int, body string) *Dispatcher {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return NewDispatcher(Settings{DispatcherURL: server.URL, WorkerToken: "t"}, "w")
}

func TestBothFormsOfAClaim(t *testing.T) {
	const held = `"attempt":2,"lease_token":"l","capability_token":"c","lease_expires_at":"2999-01-01T00:00:00.000Z"`
	for form, body := range map[string]string{
		"documented": `{"status":"Claimed",` + held + `,"task":{"operator":"cryo_ingest","config":{"a":1}},"x":{}}`,
		"lite":       `{"task_id":"i",` + held + `,"work_payload":{"a":1}}`,
	} {
		claim, err := answering(t, http.StatusOK, body).Claim(context.Background(), "i")
		if err != nil || claim.Attempt != 2 || string(claim.Payload) != `{"a":1}` || claim.ref().LeaseToken != "l" {
			t.Errorf("%s: %+v, %v", form, claim, err)
		}
	}
}

func TestClaimsThatAreNone(t *testing.T) {
	for _, answer := range []struct {
		status int
		body   string
		gone   bool
	}{
		{http.StatusOK, `{"status":"NotClaimed","reason":"Completed"}`, true},
		{http.StatusConflict, `{}`, true},
		{http.StatusServiceUnavailable, ``, false},
		{http.StatusUnauthorized, ``, false},
		{http.StatusOK, `{}`, false},
		{http.StatusOK, `<html>`, false},
	} {
		_, err := answering(t, answer.status, answer.body).Claim(context.Background(), "i")
		if err == nil || errors.Is(err, ErrNotClaimed) != answer.gone {
			t.Errorf("%+v: %v", answer, err)
		}
	}
}

func TestReportsUntilAnsweredOrLost(t *testing.T) {
	unanswered := errors.New("503")
	for _, last := range []error{nil, ErrLeaseLost, ErrMalformed} {
		answers := []error{unanswered, last}
		err := persist(context.Background(), slog.New(slog.DiscardHandler), func() error {
			answer := answers[0]
			answers = answers[1:]
			return answer
		})
		if !errors.Is(err, last) || len(answers) != 0 {
			t.Errorf("%v: %v, %d left", last, err, len(answers))
		}
	}
}

func TestReportHasEveryField(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	dispatcher := NewDispatcher(Settings{DispatcherURL: server.URL}, "w")
	if err := dispatcher.Complete(context.Background(), Claim{TaskID: "i"}, PublicationOf(task, "b")); err != nil {
		t.Fatal(err)
	}
	names := []string{
		"task_id", "attempt", "lease_token", "status", "outcome", "events", "outputs", "datasets_published", "error_message",
	}
	for _, name := range names {
		if _, found := got[name]; !found {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != len(names) || got["error_message"] != nil || got["outcome"] != "success" {
		t.Error(got)
	}
}

func TestLeaseIsReckonedByTheDispatchersClock(t *testing.T) {
	sent := time.Now()
	date := sent.Add(time.Hour)
	for lease, want := range map[time.Duration]time.Duration{
		60 * time.Second: 55 * time.Second, 6 * time.Second: 4 * time.Second, time.Second: time.Second,
	} {
		if got := leaseEnd(sent, date, date.Add(lease)).Sub(sent); got != want {
			t.Errorf("a lease of %s is relied on for %s", lease, got)
		}
	}
}
