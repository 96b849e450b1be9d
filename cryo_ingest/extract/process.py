"""Runs one child process in its own process group, which is gone when the call returns or raises."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

TAIL_LINES = 12
ERROR_LINES = 5
ERROR = re.compile(rb"error|failed|denied|panicked|rate.?limit|too many", re.IGNORECASE)
"""Lines that may say why Cryo failed: its summary of the errors comes before a dozen lines of statistics."""
LINE_CHARACTERS = 400
MAX_LINE_BYTES = 64 * 1024
READ_BYTES = 64 * 1024

TERM_GRACE_SECONDS = 5.0
"""Time between SIGTERM and SIGKILL. Cryo has no handler, so in practice it ends at once."""

DRAIN_SECONDS = 2.0
"""Time to read output after the child's end: only a process that left the group can keep the pipe open."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a process ended: its exit code (negative for a signal) and what it printed, redacted.

    `tail` has the first errors, and then the last lines.
    """

    return_code: int
    tail: tuple[str, ...]

    @property
    def description(self) -> str:
        """How the process ended, for a message."""
        if self.return_code < 0:
            return f"was killed by {signal.Signals(-self.return_code).name}"
        return f"ended with exit code {self.return_code}"


class RunProcess(Protocol):
    """Runs a command as `run_process` does."""

    async def __call__(
        self,
        command: list[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        descriptors: tuple[int, ...],
        redact: Callable[[str], str],
    ) -> ProcessResult:
        """Run it to its end, or until the call is cancelled."""
        ...


async def run_process(
    command: list[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    descriptors: tuple[int, ...],
    redact: Callable[[str], str],
) -> ProcessResult:
    """Run a command in `directory`, in its own process group, and return how it ended.

    Its output is read at once, and only the last lines are kept. If the call is cancelled, the group gets SIGTERM and,
    after a grace period, SIGKILL. Processes that the child leaves in its group are killed too.
    """
    read_end, write_end = os.pipe()
    tail = _Tail(redact)
    try:
        # This pipe replaces asyncio's, with which the process would not end while a grandchild has its output open.
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            process_group=0,
            pass_fds=descriptors,
            umask=0o077,
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    reading = asyncio.create_task(_drain(read_end, tail))
    try:
        return_code = await process.wait()
    finally:
        await _finish(_end_group(process, reading))
    return ProcessResult(return_code, tail.lines())


async def _end_group(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        await asyncio.wait([waiting := asyncio.ensure_future(process.wait())], timeout=TERM_GRACE_SECONDS)
        _signal_group(process.pid, signal.SIGKILL)
        await waiting
    _signal_group(process.pid, signal.SIGKILL)
    await asyncio.wait([reading], timeout=DRAIN_SECONDS)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # PermissionError: only zombies, or a set-uid program, are left in the group.
        return


async def _finish(cleaning: Awaitable[None]) -> None:
    """Await something to its end even if this task is cancelled meanwhile, then raise the cancellation."""
    task = asyncio.ensure_future(cleaning)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()


async def _drain(read_end: int, tail: _Tail) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    try:
        while data := await reader.read(READ_BYTES):
            tail.feed(data)
    finally:
        transport.close()


class _Tail:
    """The first errors and the last lines of a byte stream, in bounded memory.

    Each line is redacted before it is shortened.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._errors: list[bytes] = []
        self._lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._unfinished = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._unfinished + data).split(b"\n")
        for line in lines:
            if not self._skipping and line.strip():
                self._keep(line[:MAX_LINE_BYTES])
            self._skipping = False
        self._unfinished = rest
        if len(rest) > MAX_LINE_BYTES:
            if not self._skipping:
                self._keep(rest[:MAX_LINE_BYTES])
            self._unfinished, self._skipping = b"", True

    def _keep(self, line: bytes) -> None:
        pushed_out = self._lines[0] if len(self._lines) == TAIL_LINES else b""
        if len(self._errors) < ERROR_LINES and ERROR.search(pushed_out):
            self._errors.append(pushed_out)
        self._lines.append(line)

    def lines(self) -> tuple[str, ...]:
        pending = [] if self._skipping or not self._unfinished.strip() else [self._unfinished]
        kept = [*self._errors, *[*self._lines, *pending][-TAIL_LINES:]]
        texts = (self._redact(line.decode(errors="replace")).strip() for line in kept)
        return tuple(text if len(text) <= LINE_CHARACTERS else text[:LINE_CHARACTERS] + "…" for text in texts)
