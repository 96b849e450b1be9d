"""Programs run to their end in containers: the worker's image on one task, and real Cryo without any worker.

The worker runs as it should in production: read-only root file system, no capabilities, no new privileges, user 10001,
nothing writable but its staging volume.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.containers.images import IMAGES, build
from harness.containers.session import container, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.containers.session import Session

LOCKED_DOWN = {"read_only": True, "user": "10001", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
STAGING = "/tmp/trace/cryo"  # noqa: S108 - the volume that the image declares
CRYO_OUTPUT = "/data"
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program in a container ended: exit code, what it wrote, and the seconds that were waited for it."""

    code: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Running:
    """A program in a container; `docker` is docker-py's container, to be killed, stopped or paused."""

    docker: Any

    def wait_for(self, words: str, timeout_seconds: float = 60) -> None:
        """Return when the program has written `words` on standard error.

        The log is read again and again: docker-py leaks the socket of a log that is followed and left.

        Raises:
            EOFError: it ended without them, or they did not come in time; what it wrote is in the message.
        """
        last = time.monotonic() + timeout_seconds
        while True:
            self.docker.reload()
            seen = self.docker.logs(stdout=False).decode(errors="replace")
            if words in seen:
                return
            if self.docker.status == "exited" or time.monotonic() > last:
                raise EOFError(f"{words!r} was not written, the program is {self.docker.status}: {seen}")
            time.sleep(POLL_SECONDS)

    def ended(self, timeout_seconds: float = 120) -> Ended:
        """Wait for the end.

        Raises:
            requests.exceptions.ConnectionError: it did not come in time.
        """
        begun = time.monotonic()
        code = self.docker.wait(timeout=timeout_seconds)["StatusCode"]
        seconds = time.monotonic() - begun
        out, err = (self.docker.logs(stdout=way, stderr=not way).decode() for way in (True, False))
        return Ended(code, out, err, seconds)

    def files(self, folder: str) -> dict[str, bytes]:
        """Return the files below a folder of the container, its volumes included, by their paths; it may have ended."""
        stream, _ = self.docker.get_archive(folder)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
            return {name: file.read() for name, file in found.items() if file is not None}


@contextmanager
def worker_container(
    on: Session, task: Mapping[str, Any], environment: Mapping[str, str], *, folder: Path, words: Sequence[str] = ()
) -> Iterator[Running]:
    """Start the worker's image on one task and remove it, staging included, afterwards.

    Args:
        on: whose container it is; stores and nodes are reached by their aliases on its network.
        task: the payload, mounted read-only.
        environment: the platform's and the operator's variables.
        folder: where the payload is written for the mount.
        words: more words of the command line.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    payload = folder / "task.json"
    payload.write_text(json.dumps(task), encoding="utf-8")
    payload.chmod(0o644)
    made = container(build(IMAGES["worker"]), on, alias="worker", **LOCKED_DOWN)
    made.with_envs(TRACE_LOG_FORMAT="json", **environment).with_volume_mapping(payload, "/task.json")
    with running(made.with_command(["run", "/task.json", *words])) as docker:
        yield Running(docker)


@contextmanager
def service_container(on: Session, environment: Mapping[str, str], *, alias: str) -> Iterator[Running]:
    """Start the worker's image as a service and remove it, staging included, afterwards.

    Args:
        on: whose container it is.
        environment: the platform's and the operator's variables; servers of this machine are at `on.gateway()`.
        alias: its name on the network.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = container(build(IMAGES["worker"]), on, alias=alias, **LOCKED_DOWN)
    made.with_envs(TRACE_LOG_FORMAT="json", **environment)
    with running(made.with_command(["worker"])) as docker:
        yield Running(docker)


def bare_cryo(on: Session, arguments: Sequence[str], *, rpc_url: str) -> tuple[Ended, dict[str, bytes]]:
    """Run real Cryo in its own image without any worker and return how it ended and the files that it wrote.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = container(build(IMAGES["cryo"]), on, alias="cryo", entrypoint="cryo", working_dir=CRYO_OUTPUT)
    with running(made.with_env("ETH_RPC_URL", rpc_url).with_command([*arguments, "--no-report"])) as docker:
        program = Running(docker)
        ended = program.ended()
        return ended, {name.rpartition("/")[2]: content for name, content in program.files(CRYO_OUTPUT).items()}
