"""Starts worker processes, reads their output, and watches their descendants in /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.history import CryoEnded, HarnessAction, LogLine, WorkerExited, WorkerStarted
from harness.runner.streams import Text, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.runner.recorder import Recorder

LOOK_SECONDS = 0.03
KILLED_IN_CONTAINER = 128 + signal.SIGKILL
"""The exit code of `docker run` after SIGKILL in the container."""


class Worker:
    """A worker process. If the command runs the worker as another process, `inner` returns the id of that process."""

    def __init__(  # noqa: PLR0913, PLR0917 - all of them describe the process
        self, number: int, recorder: Recorder, command: Sequence[str], environment: dict[str, str],
        task: int | None, payload: bytes | None, inner: Callable[[], int | None] | None = None,
    ) -> None:  # fmt: skip
        self.number, self._recorder, self._inner = number, recorder, inner
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        recorder.add(WorkerStarted, worker=number, task=task, pid=self.process.pid)
        self._stdout = Text(recorder.secrets)
        self._threads = [
            threading.Thread(target=self._feed, args=(payload or b"",), daemon=True),
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.ended = threading.Event()
        self._ender = threading.Thread(target=self._end, daemon=True)
        self._ender.start()

    def signal(self, name: str) -> None:
        """Send a signal, unless the process has ended."""
        if self.process.poll() is None:
            self._recorder.add(HarnessAction, action=name, worker=self.number)
            self._send(getattr(signal, name))

    def _send(self, number: int) -> None:
        *_, pid = self.pids()
        if pid == self.process.pid:
            self.process.send_signal(number)
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def pids(self) -> list[int]:
        """Return the known process ids; the last one belongs to the worker itself."""
        inner = self._inner() if self._inner is not None and self.process.poll() is None else None
        return [self.process.pid] if inner is None else [self.process.pid, inner]

    def close(self) -> None:
        """Kill the process, and wait until all of its output is read."""
        if self.process.poll() is None:
            self._send(signal.SIGKILL)
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
        self._ender.join()

    def _feed(self, payload: bytes) -> None:
        assert self.process.stdin is not None  # noqa: S101 - Popen was called with PIPE
        try:
            self.process.stdin.write(payload)
            self.process.stdin.close()
        except BrokenPipeError:
            return

    def _read_out(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - Popen was called with PIPE
        with self.process.stdout as stream:
            self._stdout.read(stream)

    def _read_log(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - Popen was called with PIPE
        with self.process.stderr as stream:
            read_lines(stream, self._recorder.secrets, self._log)

    def _log(self, line: str) -> None:
        self._recorder.add(LogLine, worker=self.number, text=line)

    def _end(self) -> None:
        code = self.process.wait()
        if self._inner is not None and code == KILLED_IN_CONTAINER:
            code = -signal.SIGKILL
        self._threads[0].join()
        # If Cryo outlives its worker, it may keep the pipes open; then the output after this time is ignored.
        for thread in self._threads[1:]:
            thread.join(2.0)
        self._recorder.add(WorkerExited, worker=self.number, code=code, stdout=str(self._stdout))
        self.ended.set()


class Watch:
    """Watches all descendants of the workers during the `with` block, and kills the remaining ones at its end."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._on_cryo: Callable[[int, list[str]], None] | None = None
        self._reported: set[tuple[int, str]] = set()
        self._workers: list[Worker] = []
        self._roots: set[int] = set()
        self._cryos: dict[int, tuple[int, str]] = {}
        self._ending = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.arguments: set[str] = set()
        self.seen: dict[tuple[int, str], str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for pid, start in self.seen:
            if _start_of(pid) == start:
                os.kill(pid, signal.SIGKILL)

    def on_cryo(self, listener: Callable[[int, list[str]], None]) -> None:
        """Call a function with the process id and the command line of every Cryo process that is found."""
        self._on_cryo = listener

    def follow(self, worker: Worker) -> None:
        """Watch a worker and its descendants."""
        self._workers.append(worker)

    def note(self, pid: int) -> None:
        """Record one process now."""
        start, words = _start_of(pid), _arguments_of(pid)
        if start is not None and words:
            self.seen[pid, start] = words
            self.arguments.add(words)
            if self._on_cryo is not None and " --blocks " in words and (pid, start) not in self._reported:
                self._reported.add((pid, start))
                self._on_cryo(pid, words.split())

    def follow_cryo(self, pid: int, number: int) -> None:
        """Watch for the end of a Cryo process; `number` is the number of its `cryo_started` event."""
        self._cryos[number] = (pid, _start_of(pid) or "")

    def record_cryo_ends(self) -> bool:
        """Record the end of each Cryo process that has ended, and return whether none is left."""
        with self._ending:
            for number, (pid, start) in list(self._cryos.items()):
                if _start_of(pid) != start:
                    del self._cryos[number]
                    self._recorder.add(CryoEnded, start_number=number)
        return not self._cryos

    def find_detached(self, markers: Sequence[str]) -> None:
        """Record descendants that detached from a worker: processes with one of these texts in their environment."""
        wanted = [marker.encode() for marker in markers]
        known = {pid for pid, _ in self.seen}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) not in {*known, os.getpid()}:
                try:
                    environment = (folder / "environ").read_bytes()
                except OSError:
                    continue
                if any(marker in environment for marker in wanted):
                    self.note(int(folder.name))

    def survivors(self) -> tuple[str, ...]:
        """Return the command lines of the descendants that are still running."""
        alive = [
            words for (pid, start), words in self.seen.items() if pid not in self._roots and _start_of(pid) == start
        ]
        return tuple(sorted(alive))

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            pending = [pid for worker in list(self._workers) for pid in worker.pids()]
            self._roots.update(pending)
            while pending:
                pid = pending.pop()
                self.note(pid)
                pending += children_of(pid)
            self.record_cryo_ends()


def children_of(pid: int) -> list[int]:
    """Return the ids of the children of a process; none if it has ended."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return found
    return found


def _arguments_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _start_of(pid: int) -> str | None:
    """Return the start time of a process, which distinguishes it from a later one with the same id.

    Returns None if it has ended or is a zombie.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def locked_below(pid: int, folder: Path) -> tuple[str, ...]:
    """Return the paths below a folder that a process holds open and locked, including inherited locks."""
    found = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            path = link.readlink()
            if path.is_relative_to(folder) and "\nlock:" in Path(f"/proc/{pid}/fdinfo/{link.name}").read_text():
                found.add(str(path.relative_to(folder)))
    except OSError:
        return ()
    return tuple(sorted(found))
