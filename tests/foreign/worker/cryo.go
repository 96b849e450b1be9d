package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// passedOn are the variables that Cryo gets from the worker's environment: none that holds a secret.
var passedOn = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// exitUsageOfCryo is how Cryo's argument parser ends for arguments that it does not know.
const exitUsageOfCryo = 2

// Cryo is an executable and the environment that it is run in.
type Cryo struct {
	Path        string
	Environment []string
	Deadline    time.Duration
}

// NewCryo picks the executable by the mode: fake-cryo, or TRACE_CRYO_BIN (MOD-1, MOD-3).
//
// The endpoint's URL reaches Cryo in its environment, where no list of processes shows it. Without a URL
// fake-cryo can't ask a node for its chain, so it is told which one.
func NewCryo(settings Settings, chainID uint64, rpcURL string) (Cryo, error) {
	name, source := settings.CryoBin, "ETH_RPC_URL="+rpcURL
	if settings.Mode == ModeFake {
		name, source = "fake-cryo", fmt.Sprintf("FAKE_CRYO_CHAIN_ID=%d", chainID)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return Cryo{}, Fatalf("Cryo can't be run: set TRACE_CRYO_BIN to its executable: %w", err)
	}
	environment := []string{source}
	for _, name := range passedOn {
		if value, found := os.LookupEnv(name); found {
			environment = append(environment, name+"="+value)
		}
	}
	return Cryo{Path: path, Environment: environment, Deadline: settings.Deadline}, nil
}

// Arguments are Cryo's for a task (RNG-1): the dataset first, since --blocks takes several values, and the
// end of the range as it is, since Cryo's own is exclusive too. Chunk size and network name are Cryo's (LAY-9).
func Arguments(task Task) []string {
	return []string{task.Dataset, "--blocks", fmt.Sprintf("%d:%d", task.RangeStart, task.RangeEnd)}
}

// Run runs Cryo in a staging directory and returns the end of what it printed, to be redacted before
// anybody reads it. When the context ends or the deadline is over, its whole process group is killed.
// It inherits the directory's lock, and dies with this process.
func (c Cryo) Run(ctx context.Context, task Task, staging *Staging) (output string, err error) {
	// The kernel kills the child when the thread that started it ends, so this thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	ctx, cancel := context.WithTimeoutCause(ctx, c.Deadline, errors.New(
		"Cryo did not finish in time: raise TRACE_CRYO_DEADLINE_SECONDS or plan smaller ranges"))
	defer cancel()

	var tail Tail
	command := exec.CommandContext(ctx, c.Path, Arguments(task)...)
	command.Dir = staging.Path
	command.Env = c.Environment
	command.Stdout = &tail
	command.Stderr = &tail
	command.ExtraFiles = []*os.File{staging.Lock}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second

	err = command.Run()
	if ctx.Err() != nil {
		return tail.String(), context.Cause(ctx)
	}
	return tail.String(), classify(err)
}

// classify tells how a run of Cryo ended (OUT-2).
func classify(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == exitUsageOfCryo:
		return Fatalf("Cryo refused its arguments: is it version 0.3.2? (%w)", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return Fatalf("Cryo can't be run: set TRACE_CRYO_BIN to its executable: %w", err)
	default:
		return fmt.Errorf("Cryo failed: %w", err)
	}
}
