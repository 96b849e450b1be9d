package main

import "context"

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
