"""A worker's image as a target: run by the `docker` command in the network and PID namespace of this machine.

The container can therefore reach the servers on loopback, and its processes are visible like those of any other
worker. The folder of the scenario is mounted at the same path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.containers.engine import EngineError, engine_problem
from harness.containers.reaper import OWNER_LABEL, owner_label, remove_all_of

SET_BY_IMAGE = frozenset({"PATH"})
"""Variables that the image sets and that are not passed on."""


def docker_command(image: str) -> tuple[str, ...]:
    """Return the `docker` executable and the image; `in_docker` adds the arguments.

    Raises:
        EngineError: there is no engine, or no `docker` command.
    """
    problem, docker = engine_problem(), shutil.which("docker")
    if problem is not None or docker is None:
        raise EngineError(problem or "an image needs the command docker on the PATH")
    return (docker, image)


def in_docker(command: Sequence[str], folder: Path, environment: Mapping[str, str], id_file: Path) -> list[str]:
    """Return the command line that runs an image for a scenario; no argument contains a variable's value (SEC-2).

    Docker writes the container's id to `id_file`, which must not exist yet.
    """
    docker, image = command
    owner = owner_label()[OWNER_LABEL]
    options = ["--rm", "--interactive", "--network", "host", "--pid", "host", "--label", f"{OWNER_LABEL}={owner}"]
    options += ["--cidfile", str(id_file)]
    options += ["--user", f"{os.getuid()}:{os.getgid()}", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108 - in the container
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", f"{folder}:{folder}"]
    names = sorted(set(environment) - SET_BY_IMAGE)
    return [docker, "run", *options, *(word for name in names for word in ("--env", name)), image]


@contextmanager
def remove_containers_after(*, in_container: bool) -> Iterator[None]:
    """Remove the remaining containers of an image: killing the `docker` command does not stop its container."""
    try:
        yield
    finally:
        if in_container:
            remove_all_of(owner_label()[OWNER_LABEL])
