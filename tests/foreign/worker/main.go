// Command foreign-worker is a small, independent implementation of the cryo_ingest operator.
//
// It keeps the clauses of profile core (those marked S and W in the contract) and no more than
// it must beyond them. It exists so that the harness judges something that shares no code,
// no language and no author's habits with the worker it was written for.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitUsage         = 64
	exitConfiguration = 78
)

func main() {
	if len(os.Args) != 2 || os.Args[1] != "worker" {
		fmt.Fprintln(os.Stderr, "usage: foreign-worker worker   (everything else is set by environment variables)")
		os.Exit(exitUsage)
	}
	redactor := new(Redactor)
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: redactor.Attribute}))

	settings, err := ReadSettings(os.Getenv)
	if err != nil {
		logger.Error("the environment can't be used", "error", err)
		os.Exit(exitConfiguration)
	}
	redactor.Hide(settings.WorkerToken, settings.SecretKey, settings.SessionToken)

	// The first signal ends the service in order; a second one, no longer caught, ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)

	NewService(settings, redactor, logger).Run(ctx)
}
