"""Runs `cryo-ingest worker` as a process with a real queue, a store and the fake dispatcher."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from support.worker import BIN, PAYLOAD, bare_cryo, expected_contents

from harness.fakes.dispatcher import Dispatcher, DispatcherServer
from harness.stores.bucket import Bucket, S3Endpoint
from harness.stores.queue import Queue, make_queue

PATIENCE_SECONDS = 30.0
"""How long a test waits for an event before it fails; events usually take a second or two."""


class Service:
    """A running `cryo-ingest worker`, whose log is read continuously."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._changed = threading.Condition()
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [BIN / "cryo-ingest", "worker"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        stdout = self.process.stdout.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert stdout == "", "a service prints nothing on standard output"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log so far."""
        with self._changed:
            return [json.loads(line) for line in self.lines]

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one name."""
        return [seen for seen in self.events if seen["event"] == event]

    def wait_for(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for a number of events of one name and return the last."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.named(event)) >= times, PATIENCE_SECONDS)
        assert found, f"{event} was not logged: {self.lines}"
        return self.named(event)[times - 1]

    def stop(self) -> int:
        """Send the first SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


@dataclass
class Platform:
    """A store, a queue and a dispatcher for a service, all on loopback."""

    folder: Path
    bucket: Bucket
    queue: Queue
    server: DispatcherServer
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def machine(self) -> Dispatcher:
        """The dispatcher's state machine."""
        return self.server.dispatcher

    @property
    def staging(self) -> Path:
        """The staging root of its workers."""
        return self.folder / "staging"

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the complete environment of a worker; it inherits only PATH."""
        own = {"PATH": os.environ["PATH"], "TRACE_LOG_FORMAT": "json", "TRACE_CRYO_STAGING_ROOT": str(self.staging)}
        return (
            own | self.bucket.environment() | self.queue.environment() | self.server.environment() | self.extra | extra
        )

    def service(self, **extra: str) -> Service:
        """Start a worker."""
        return Service(self.environment(**extra))

    def staged(self) -> list[str]:
        """Return the existing attempt directories, as `task/attempt`."""
        while True:
            try:
                return [str(path.relative_to(self.staging)) for path in self.staging.glob("*/*")]
            except FileNotFoundError:  # a directory was deleted meanwhile
                continue

    def queue_is_empty(self) -> bool:
        """Return whether every wake-up has been deleted."""
        return (self.queue.depth(), self.queue.in_flight()) == (0, 0)

    def holds_exactly(self, payload: dict[str, Any]) -> bool:
        """Return whether the bucket holds exactly one complete version with the bytes of fake mode."""
        bare = self.folder / "bare"
        files = bare_cryo("fake-cryo", bare, payload, {"FAKE_CRYO_CHAIN_ID": str(payload["chain_id"])})
        return self.bucket.contents() == expected_contents(payload, files)


@contextmanager
def platform(folder: Path, cryo_moto: S3Endpoint, **machine: Any) -> Iterator[Platform]:
    """Create a platform whose dispatcher has the options `machine`."""
    queue, bucket = make_queue(cryo_moto), cryo_moto.make_bucket()
    with DispatcherServer(Dispatcher(queue=queue, bucket=bucket.name, **machine)) as server:
        yield Platform(folder, bucket, queue, server)


def small(**changes: Any) -> dict[str, Any]:
    """Return a payload of two files."""
    return PAYLOAD | {"range_start": 500, "range_end": 2000} | changes


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition without an event."""
    for _ in range(int(PATIENCE_SECONDS * 100)):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition did not become true")
