package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// Service takes wake-ups one by one, and the tasks that they name.
type Service struct {
	settings   Settings
	redactor   *Redactor
	logger     *slog.Logger
	queue      *Queue
	dispatcher *Dispatcher
	store      *Store
}

// NewService puts a worker together; nothing is asked yet.
func NewService(settings Settings, redactor *Redactor, logger *slog.Logger) *Service {
	host, _ := os.Hostname()
	workerID := fmt.Sprintf("foreign-%s-%d", host, os.Getpid())
	return &Service{
		settings, redactor, logger, NewQueue(settings), NewDispatcher(settings, workerID), NewStore(settings),
	}
}

// Run serves until the context ends; a task that runs then is handed back.
func (s *Service) Run(ctx context.Context) {
	swept, err := Sweep(s.settings.StagingRoot, time.Now().Add(-s.settings.StagingTTL))
	s.logger.Info("started", "mode", s.settings.Mode, "swept", len(swept))
	if err != nil {
		s.logger.Warn("not all of the staging root could be swept", "error", err)
	}
	pause := firstPause
	for ctx.Err() == nil {
		err := s.next(ctx)
		if err == nil {
			pause = firstPause
			continue
		}
		if ctx.Err() == nil {
			s.logger.Warn("a wake-up was not served, it will come again", "error", err)
			wait(ctx, pause)
			pause = min(2*pause, longestPause)
		}
	}
	s.logger.Info("stopped", "cause", context.Cause(ctx))
}

// next waits for wake-ups and serves them. One is deleted once its task has been dealt with, or is not to be
// had; it stays where the dispatcher could not even be asked.
func (s *Service) next(ctx context.Context) error {
	wakeups, err := s.queue.Receive(ctx)
	if err != nil {
		return err
	}
	for _, wakeup := range wakeups {
		if err := s.serve(ctx, wakeup.TaskID); err != nil {
			return err
		}
		if err := s.queue.Acknowledge(context.WithoutCancel(ctx), wakeup); err != nil {
			return err
		}
	}
	return nil
}

// serve claims a task and runs the attempt. It returns an error only for a claim that was not answered.
func (s *Service) serve(ctx context.Context, taskID string) error {
	if taskID == "" {
		s.logger.Warn("a message is no wake-up")
		return nil
	}
	logger := s.logger.With("task_id", taskID)
	claim, err := s.dispatcher.Claim(ctx, taskID)
	switch {
	case errors.Is(err, ErrNotClaimed):
		logger.Info("not claimed", "reason", err)
	case err != nil:
		return err
	default:
		s.run(ctx, claim, logger.With("attempt", claim.Attempt))
	}
	return nil
}
