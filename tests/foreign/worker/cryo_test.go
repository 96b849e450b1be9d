package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scripted makes a Cryo of a shell script, and a staging directory for it.
func scripted(t *testing.T, script string, deadline time.Duration) (Cryo, *Staging) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cryo")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	staging, err := OpenStaging(t.TempDir(), task.DatasetUUID, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = staging.Remove() })
	return Cryo{Path: path, Environment: []string{"ETH_RPC_URL=u"}, Deadline: deadline}, staging
}

func TestArgumentsAreThePayloadsOwn(t *testing.T) {
	if got := Arguments(task); !slices.Equal(got, []string{"blocks", "--blocks", "500:1700"}) {
		t.Error(got)
	}
}

func TestHowCryoEnds(t *testing.T) {
	for script, want := range map[string]Outcome{
		"exit 0": Success, "exit 1": RetryableError, "exit 2": FatalError, "exit 101": RetryableError,
		"kill -9 $$": RetryableError,
	} {
		cryo, staging := scripted(t, "echo said $ETH_RPC_URL $PWD\n"+script, time.Minute)
		output, err := cryo.Run(context.Background(), task, staging)
		if OutcomeOf(err) != want || output != "said u "+staging.Path {
			t.Errorf("%s: %q, %v", script, output, err)
		}
	}
}

func TestCryoIsKilledAtItsDeadlineWithAllThatItStarted(t *testing.T) {
	cryo, staging := scripted(t, "sleep 600 & exec sleep 600", 50*time.Millisecond)
	_, err := cryo.Run(context.Background(), task, staging)
	if OutcomeOf(err) != RetryableError || !strings.Contains(err.Error(), "TRACE_CRYO_DEADLINE_SECONDS") {
		t.Error(err)
	}
}

func TestCryoIsStoppedWithTheCauseOfItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrLeaseLost)
	cryo, staging := scripted(t, "exec sleep 600", time.Minute)
	if _, err := cryo.Run(ctx, task, staging); !errors.Is(err, ErrLeaseLost) {
		t.Error(err)
	}
}

func TestMissingCryoIsFatal(t *testing.T) {
	_, err := NewCryo(Settings{Mode: ModeReal, CryoBin: filepath.Join(t.TempDir(), "cryo")}, 1, "u")
	if OutcomeOf(err) != FatalError || !strings.Contains(err.Error(), "TRACE_CRYO_BIN") {
		t.Error(err)
	}
}
