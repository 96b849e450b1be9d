package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

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
	if answer.Attempt == nil || *answer.Attempt < 0 || answer.LeaseToken == "" || answer.LeaseExpiresAt.IsZero() || payload == nil {
		return Claim{}, errors.New("claiming: the dispatcher's answer is no claim")
	}
	end := leaseEnd(sent, date, answer.LeaseExpiresAt)
	return Claim{taskID, *answer.Attempt, payload, end, answer.LeaseToken, answer.CapabilityToken}, nil
}
