"""Cryo as a process: command line, environment, deadline, caps while it runs, and termination."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.reference.bugs import has_bug
from harness.reference.errors import DeadlineExceeded, Fatal, LeaseLost, Retryable

if TYPE_CHECKING:
    from harness.reference.cancellation import Cancellation
    from harness.reference.settings import Settings
    from harness.reference.staging import Staging
    from harness.reference.task import Task

KEPT_OUTPUT_BYTES = 4096
WATCH_SECONDS = 0.02
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
LAUNCH = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2]
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == parent:
    os.execv(program, sys.argv[2:])
"""
"""Asks the kernel to kill this process when the parent's thread ends, then executes Cryo; PR_SET_PDEATHSIG is kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run of Cryo ended; `code` is negative for a signal, `output` is the end of its output, not redacted."""

    code: int
    output: str


def find_cryo(settings: Settings) -> str:
    """Return the path of the executable for the mode.

    Raises:
        Fatal: it is missing or can't be executed (MOD-3).
    """
    name = settings.cryo
    if settings.is_fake:
        beside = Path(sys.executable).parent / "fake-cryo"
        name = str(beside) if beside.exists() else "fake-cryo"
    path = shutil.which(name, path=settings.environment.get("PATH"))
    if path is None:
        error_class = Retryable if has_bug("missing-cryo-is-retryable") else Fatal
        raise error_class(f"the Cryo executable {name!r} is missing or can't be executed: set TRACE_CRYO_BIN")
    return os.path.abspath(path)  # noqa: PTH100 - does not follow links, since programs may depend on their own name


def command(task: Task, settings: Settings, url: str | None, directory: Path) -> list[str]:
    """Return Cryo's arguments (RNG-1, LAY-9)."""
    end = task.end - 1 if has_bug("decrements-the-end") else task.end
    words = [task.cryo_dataset_name, "--blocks", f"{task.range_start}:{end}", "--output-dir", str(directory)]
    if has_bug("blocks-before-dataset"):
        words = [*words[3:], *words[1:3], "--", task.cryo_dataset_name]
    if has_bug("network-of-the-pool"):
        words += ["--network-name", task.rpc_pool]
    if settings.requests_per_second is not None:
        words += ["--requests-per-second", str(settings.requests_per_second)]
    if settings.max_concurrent_requests is not None:
        words += ["--max-concurrent-requests", str(settings.max_concurrent_requests)]
    if url is not None and has_bug("url-in-arguments"):
        words += ["--rpc", url]
    return words


def variables(task: Task, settings: Settings, url: str | None) -> dict[str, str]:
    """Return Cryo's environment: the only place that has the gateway's URL; no secret and no MESC (SEC-2, RPC-3)."""
    passed = {name: value for name, value in settings.environment.items() if name in PASSED_ON}
    if has_bug("passes-mesc-on"):
        passed |= {name: value for name, value in settings.environment.items() if name.startswith("MESC_")}
    if has_bug("passes-the-pool-on"):
        passed |= {name: value for name, value in settings.environment.items() if name.startswith("TRACE_RPC_POOL_")}
    if url is not None:
        return passed | {"ETH_RPC_URL": url}
    seed = {"FAKE_CRYO_SEED": str(time.time_ns() % 1000 + 1)} if has_bug("fake-data-by-the-clock") else {}
    return passed | {"FAKE_CRYO_CHAIN_ID": str(task.chain_id), **seed}


class Cryo:
    """Runs Cryo for one attempt; all runs share one deadline."""

    def __init__(
        self, task: Task, settings: Settings, url: str | None, staging: Staging, cancellation: Cancellation
    ) -> None:
        self.program = find_cryo(settings)
        self.directory = staging.path / "out"
        self._task, self._settings, self._url = task, settings, url
        self._staging, self._cancellation = staging, cancellation
        self._deadline = time.monotonic() + settings.deadline_seconds

    def remaining_seconds(self) -> float:
        """Return the time until the deadline."""
        return self._deadline - time.monotonic()

    def run(self) -> Ended:
        """Run Cryo once, to its end.

        Raises:
            DeadlineExceeded: it did not end in time; its process group is dead.
            Fatal: a cap was exceeded while it ran.
            LeaseLost: the lease ended; its process group is dead.
            ShuttingDown: the worker is shutting down; its process group is dead.
        """
        arguments = command(self._task, self._settings, self._url, self.directory)
        if has_bug("extracts-a-second-dataset"):
            self._run_to_end(["blocks", *arguments[1:3], "--output-dir", str(self._staging.path / "second")])
        return self._run_to_end(arguments)

    def _run_to_end(self, arguments: list[str]) -> Ended:
        lock = self._staging.descriptor
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), self.program]
        outlives = has_bug("cryo-outlives-its-worker")
        process = subprocess.Popen(
            [self.program, *arguments] if outlives else [*launcher, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._staging.path,
            env=variables(self._task, self._settings, self._url),
            pass_fds=() if lock is None or has_bug("lock-is-not-inherited") else (lock,),
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - asked for above
        tail = _Tail(process.stdout)
        try:
            self._watch(process)
        except LeaseLost:
            if has_bug("cryo-outlives-its-lease"):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10.0)
            raise
        finally:
            _kill_group(process)
            process.wait()
            tail.join()
            process.stdout.close()
        return Ended(process.returncode, tail.text)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            try:
                process.wait(WATCH_SECONDS)
            except subprocess.TimeoutExpired:
                self._cancellation.check()
                if not (has_bug("caps-are-not-watched") or has_bug("uploads-before-the-caps")):
                    check_caps(self.directory, self._settings)
                if self.remaining_seconds() <= 0 and not has_bug("no-deadline"):
                    raise DeadlineExceeded(
                        f"Cryo did not finish within {self._settings.deadline_seconds:g} s: raise"
                        " TRACE_CRYO_DEADLINE_SECONDS or plan smaller ranges"
                    ) from None


class _Tail:
    """Reads a pipe to its end in a separate thread and keeps the last few kilobytes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while block := os.read(self._pipe.fileno(), 65536):
            self._kept = (self._kept + block)[-KEPT_OUTPUT_BYTES:]

    def join(self) -> None:
        """Wait for the end of the pipe; all processes that wrote to it are dead by then."""
        self._thread.join()

    @property
    def text(self) -> str:
        """The end of the output."""
        return self._kept.decode(errors="replace")


def check_caps(directory: Path, settings: Settings) -> None:
    """Compare the staged files with the caps (CAP-1); a value exactly at a cap is allowed.

    Raises:
        Fatal: a cap is exceeded (CAP-4).
    """
    sizes = {}
    for path in directory.glob("*") if directory.is_dir() else ():
        try:
            if path.is_file():
                sizes[path.name] = path.stat().st_size
        except FileNotFoundError:
            continue  # Cryo has renamed it
    files = sum(name.endswith(".parquet") for name in sizes)
    check_count(files, settings)
    largest = max(sizes.values(), default=0) + has_bug("at-the-cap-is-over")
    total = sum(sizes.values()) + has_bug("at-the-cap-is-over")
    error_class = Retryable if has_bug("caps-are-retryable") else Fatal
    if largest > settings.max_file_bytes:
        raise error_class(f"a file of {largest} bytes is over MAX_PARQUET_BYTES_PER_FILE={settings.max_file_bytes}")
    if total > settings.max_total_bytes:
        raise error_class(f"{total} bytes are over MAX_TOTAL_PARQUET_BYTES_PER_RANGE={settings.max_total_bytes}")


def check_count(files: int, settings: Settings) -> None:
    """Compare a number of files with its cap.

    Raises:
        Fatal: the cap is exceeded.
    """
    if files + has_bug("at-the-cap-is-over") > settings.max_files:
        error_class = Retryable if has_bug("caps-are-retryable") else Fatal
        raise error_class(f"{files} files are over MAX_PARQUET_FILES_PER_RANGE={settings.max_files}")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill Cryo and its child processes."""
    try:
        if has_bug("kills-only-the-leader"):
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
