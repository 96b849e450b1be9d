package main

import (
	"errors"
	"fmt"
)

// Outcome is how an attempt ended, in the words of OUT-1.
type Outcome string

// The three outcomes.
const (
	Success        Outcome = "success"
	RetryableError Outcome = "retryable_error"
	FatalError     Outcome = "fatal_error"
)

// fatal marks an error that no further attempt can mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// Fatalf makes an error that ends the task; see OUT-2 for what is one.
func Fatalf(format string, args ...any) error {
	return fatal{fmt.Errorf(format, args...)}
}

// OutcomeOf classifies how an attempt ended. Only what was marked is fatal: a fault of the store, the
// network or the machine comes as whatever error it was, and another attempt may fare better.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.As(err, new(fatal)):
		return FatalError
	default:
		return RetryableError
	}
}
