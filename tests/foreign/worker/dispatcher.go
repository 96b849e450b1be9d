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
	return &Dispatcher{&http.Client{Timeout: requestTimeout}, settings.DispatcherURL, settings.WorkerToken, workerID}
}

// Claim is a task that is this worker's until LeaseEnd, by this machine's monotonic clock.
type Claim struct {
	TaskID     string
	Attempt    int
	Payload    json.RawMessage
	LeaseEnd   time.Time
	leaseToken string
	capability string
}

// leaseRef names an attempt in a request.
type leaseRef struct {
	TaskID     string `json:"task_id"`
	Attempt    int    `json:"attempt"`
	LeaseToken string `json:"lease_token"`
}

func (c Claim) ref() leaseRef { return leaseRef{c.TaskID, c.Attempt, c.leaseToken} }

// Claim claims a task. The answer has two forms, told apart by where the payload is.
func (d *Dispatcher) Claim(ctx context.Context, taskID string) (Claim, error) {
	request := map[string]string{"task_id": taskID, "worker_id": d.workerID}
	var answer struct {
		Status          string          `json:"status"`
		Reason          string          `json:"reason"`
		Attempt         *int            `json:"attempt"`
		LeaseToken      string          `json:"lease_token"`
		LeaseExpiresAt  time.Time       `json:"lease_expires_at"`
		CapabilityToken string          `json:"capability_token"`
		WorkPayload     json.RawMessage `json:"work_payload"`
		Task            struct {
			Config json.RawMessage `json:"config"`
		} `json:"task"`
	}
	sent := time.Now()
	status, date, err := d.post(ctx, "/internal/task-claim", "X-Trace-Worker-Token", d.workerToken, request, &answer)
	switch {
	case err != nil:
		return Claim{}, fmt.Errorf("claiming: %w", err)
	case status == http.StatusConflict, status == http.StatusOK && answer.Status == "NotClaimed":
		return Claim{}, fmt.Errorf("%w: %s", ErrNotClaimed, answer.Reason)
	case status != http.StatusOK:
		return Claim{}, fmt.Errorf("claiming: the dispatcher answers %d", status)
	}
	payload := answer.WorkPayload
	if payload == nil {
		payload = answer.Task.Config
	}
	if answer.Attempt == nil || *answer.Attempt < 0 || answer.LeaseToken == "" || payload == nil {
		return Claim{}, errors.New("claiming: the dispatcher's answer is no claim")
	}
	end := leaseEnd(sent, date, answer.LeaseExpiresAt)
	return Claim{taskID, *answer.Attempt, payload, end, answer.LeaseToken, answer.CapabilityToken}, nil
}

// Heartbeat renews a lease and returns its new end.
func (d *Dispatcher) Heartbeat(ctx context.Context, claim Claim) (time.Time, error) {
	var answer struct {
		LeaseExpiresAt time.Time `json:"lease_expires_at"`
	}
	sent := time.Now()
	date, err := d.postTask(ctx, "/v1/task/heartbeat", claim, claim.ref(), &answer)
	return leaseEnd(sent, date, answer.LeaseExpiresAt), err
}

// report is the body of a completion; the documented and the lite form of how an attempt ended are both sent.
type report struct {
	leaseRef
	Status            string        `json:"status"`
	Outcome           Outcome       `json:"outcome"`
	Events            []any         `json:"events"`
	Outputs           []any         `json:"outputs"`
	DatasetsPublished []Publication `json:"datasets_published"`
	ErrorMessage      *string       `json:"error_message"`
}

// Complete reports a success with its publication.
func (d *Dispatcher) Complete(ctx context.Context, claim Claim, publication Publication) error {
	return d.complete(ctx, claim, report{
		Status: "Completed", Outcome: Success, DatasetsPublished: []Publication{publication},
	})
}

// Fail reports an attempt that did not succeed; the message has to be clean of secrets.
func (d *Dispatcher) Fail(ctx context.Context, claim Claim, outcome Outcome, message string) error {
	return d.complete(ctx, claim, report{
		Status: "Failed", Outcome: outcome, DatasetsPublished: []Publication{}, ErrorMessage: &message,
	})
}

func (d *Dispatcher) complete(ctx context.Context, claim Claim, body report) error {
	body.leaseRef, body.Events, body.Outputs = claim.ref(), []any{}, []any{}
	_, err := d.postTask(ctx, "/v1/task/complete", claim, body, &struct{}{})
	return err
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
