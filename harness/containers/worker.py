"""Programs in containers: the worker's image on one task or as a service, and real Cryo without a worker.

The worker runs as in production: read-only root file system, no capabilities, no new privileges, user 10001; only its
staging volume is writable.
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
class ContainerResult:
    """How a program in a container ended: exit code, output, and how long the caller waited for it."""

    code: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Running:
    """A program in a container; `docker` is the docker-py container, to kill, stop or pause it."""

    docker: Any

    def wait_for(self, words: str, timeout_seconds: float = 60) -> None:
        """Wait until the program has written `words` to standard error.

        The log is polled, because docker-py leaks the socket of a followed log.

        Raises:
            EOFError: the program ended without them, or the time is up; the message has its output.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.docker.reload()
            output = self.docker.logs(stdout=False).decode(errors="replace")
            if words in output:
                return
            if self.docker.status == "exited" or time.monotonic() > deadline:
                raise EOFError(f"{words!r} was not written, the program is {self.docker.status}: {output}")
            time.sleep(POLL_SECONDS)

    def ended(self, timeout_seconds: float = 120) -> ContainerResult:
        """Wait until the program ends.

        Raises:
            requests.exceptions.ConnectionError: it did not end in time.
        """
        begun = time.monotonic()
        code = self.docker.wait(timeout=timeout_seconds)["StatusCode"]
        seconds = time.monotonic() - begun
        out, err = (self.docker.logs(stdout=is_out, stderr=not is_out).decode() for is_out in (True, False))
        return ContainerResult(code, out, err, seconds)

    def files(self, folder: str) -> dict[str, bytes]:
        """Return the files below a folder of the container, with its volumes, by path; it may have ended."""
        stream, _ = self.docker.get_archive(folder)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
            return {name: file.read() for name, file in files.items() if file is not None}


@contextmanager
def worker_container(
    on: Session, task: Mapping[str, Any], environment: Mapping[str, str], *, folder: Path, words: Sequence[str] = ()
) -> Iterator[Running]:
    """Start the worker's image on one task, and remove it with its staging volume afterwards.

    Args:
        on: the session; stores and nodes have their aliases on its network.
        task: the payload, mounted read-only.
        environment: the platform's and the operator's variables.
        folder: the folder in which the payload is written for the mount.
        words: additional arguments.

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
    """Start the worker's image as a service, and remove it with its staging volume afterwards.

    Args:
        on: the session.
        environment: the platform's and the operator's variables; servers on this machine are at `on.gateway()`.
        alias: its name on the network.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = container(build(IMAGES["worker"]), on, alias=alias, **LOCKED_DOWN)
    made.with_envs(TRACE_LOG_FORMAT="json", **environment)
    with running(made.with_command(["worker"])) as docker:
        yield Running(docker)


def bare_cryo(on: Session, arguments: Sequence[str], *, rpc_url: str) -> tuple[ContainerResult, dict[str, bytes]]:
    """Run real Cryo in its image without a worker, and return how it ended and the files that it wrote.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = container(build(IMAGES["cryo"]), on, alias="cryo", entrypoint="cryo", working_dir=CRYO_OUTPUT)
    with running(made.with_env("ETH_RPC_URL", rpc_url).with_command([*arguments, "--no-report"])) as docker:
        program = Running(docker)
        ended = program.ended()
        return ended, {name.rpartition("/")[2]: content for name, content in program.files(CRYO_OUTPUT).items()}
