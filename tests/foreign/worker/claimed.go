package main

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// run keeps the lease while the attempt runs, and reports how it ended (OUT-1).
func (s *Service) run(ctx context.Context, claim Claim, logger *slog.Logger) {
	s.redactor.Hide(claim.leaseToken, claim.capability)
	lease := KeepLease(ctx, s.dispatcher, claim, logger)
	defer lease.Release()

	// The attempt ends with its lease, or when the service does.
	work, cancel := context.WithCancelCause(lease.Context)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { cancel(errors.New("handed back: the worker is ending")) })
	defer stop()

	logger.Info("claimed")
	publication, err := s.Attempt(work, claim, logger)
	lease.StopRenewing()
	outcome := OutcomeOf(err)
	message := ""
	if err != nil {
		message = s.redactor.Clean(err.Error())
	}
	logger.Info("ended", "outcome", outcome, "message", message)
	err = persist(lease.Context, logger, func() error {
		if outcome == Success {
			return s.dispatcher.Complete(lease.Context, claim, publication)
		}
		return s.dispatcher.Fail(lease.Context, claim, outcome, message)
	})
	if err != nil {
		logger.Warn("the report was not taken", "error", err)
	}
}

// persist makes a report until it is answered or the lease is lost (PUB-5).
func persist(ctx context.Context, logger *slog.Logger, report func() error) error {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		err := report()
		if err == nil || errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrMalformed) {
			return err
		}
		logger.Warn("the report was not answered", "error", err)
		wait(ctx, pause)
	}
	return context.Cause(ctx)
}

// wait waits, less if the context ends.
func wait(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}
