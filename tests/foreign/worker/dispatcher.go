package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The dispatcher's answers that mean more than "ask again later".
var (
	// ErrNotClaimed: the task is not to be had (LSE-1).
	ErrNotClaimed = errors.New("the task can't be claimed")
	// ErrLeaseLost: the task is no longer this attempt's; nothing more may be asked for it (PUB-5).
	ErrLeaseLost = errors.New("the lease is lost")
	// ErrMalformed: a request of ours is wrong, which asking again does not mend.
	ErrMalformed = errors.New("the dispatcher calls the request malformed")
)

const requestTimeout = 10 * time.Second

// Dispatcher is the platform's, over HTTP.
type Dispatcher struct {
	client      *http.Client
	url         string
	workerToken string
	workerID    string
}

// NewDispatcher makes a client; nothing is asked yet.
func NewDispatcher(settings Settings, workerID string) *Dispatcher {
	client := &http.Client{
		Timeout: requestTimeout,
		// A redirection would take the tokens to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Dispatcher{client, settings.DispatcherURL, settings.WorkerToken, workerID}
}

// Heartbeat renews a lease and returns its new end.
func (d *Dispatcher) Heartbeat(ctx context.Context, claim Claim) (time.Time, error) {
	var answer struct {
		LeaseExpiresAt time.Time `json:"lease_expires_at"`
	}
	sent := time.Now()
	date, err := d.postTask(ctx, "/v1/task/heartbeat", claim, claim.ref(), &answer)
	if err == nil && answer.LeaseExpiresAt.IsZero() {
		err = errors.New("/v1/task/heartbeat: the dispatcher's answer is no lease")
	}
	return leaseEnd(sent, date, answer.LeaseExpiresAt), err
}

// postTask asks in the name of a claimed task.
func (d *Dispatcher) postTask(ctx context.Context, path string, claim Claim, body, answer any) (time.Time, error) {
	status, date, err := d.post(ctx, path, "X-Trace-Task-Capability", claim.capability, body, answer)
	switch {
	case err != nil:
		return date, fmt.Errorf("%s: %w", path, err)
	case status == http.StatusConflict, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return date, fmt.Errorf("%s: %w: the dispatcher answers %d", path, ErrLeaseLost, status)
	case status == http.StatusBadRequest:
		return date, fmt.Errorf("%s: %w", path, ErrMalformed)
	case status != http.StatusOK:
		return date, fmt.Errorf("%s: the dispatcher answers %d", path, status)
	}
	return date, nil
}

// post sends a JSON body and reads the answer of a 200; date is the dispatcher's own time of answering.
func (d *Dispatcher) post(ctx context.Context, path, header, token string, body, answer any) (status int, date time.Time, err error) {
	content, err := json.Marshal(body)
	if err != nil {
		return 0, date, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(content))
	if err != nil {
		return 0, date, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(header, token)
	response, err := d.client.Do(request)
	if err != nil {
		return 0, date, err
	}
	defer response.Body.Close()
	if date, err = http.ParseTime(response.Header.Get("Date")); err != nil {
		date = time.Now() // a dispatcher that does not tell its time is taken to have ours
	}
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, answer)
	}
	return response.StatusCode, date, err
}

// leaseEnd reckons a lease's end by this machine's clock, from the dispatcher's own two times and the moment
// the request was sent, with a margin that keeps the last request from coming too late (LSE-3).
func leaseEnd(sent, date, expires time.Time) time.Time {
	lease := expires.Sub(date)
	return sent.Add(max(time.Second, lease-min(5*time.Second, lease/3)))
}
