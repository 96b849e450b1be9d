"""A worker's image as a target: run by the `docker` command, in this machine's network and process table.

So the world's servers, which listen on loopback, are reached, and its processes are seen as any other worker's are.
What the world has on disk is seen under the same path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.containers.engine import EngineError, engine_problem
from harness.containers.reaper import OWNER_LABEL, owner_label, remove_all_of

IMAGE_S_OWN = frozenset({"PATH"})
"""Variables that are the image's affair."""


def docker_command(image: str) -> tuple[str, ...]:
    """Return the command that runs an image; `in_docker` fills it in.

    Raises:
        EngineError: there is no engine, or no `docker` command.
    """
    problem, docker = engine_problem(), shutil.which("docker")
    if problem is not None or docker is None:
        raise EngineError(problem or "an image needs the command docker on the PATH")
    return (docker, image)


def in_docker(command: Sequence[str], folder: Path, environment: Mapping[str, str], id_file: Path) -> list[str]:
    """Return the command line that runs an image beside a world; values of variables are in no argument (SEC-2).

    Docker writes the container's id into `id_file`, which must not be there yet.
    """
    docker, image = command
    owner = owner_label()[OWNER_LABEL]
    options = ["--rm", "--interactive", "--network", "host", "--pid", "host", "--label", f"{OWNER_LABEL}={owner}"]
    options += ["--cidfile", str(id_file)]
    options += ["--user", f"{os.getuid()}:{os.getgid()}", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108 - in it
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", f"{folder}:{folder}"]
    names = sorted(set(environment) - IMAGE_S_OWN)
    return [docker, "run", *options, *(word for name in names for word in ("--env", name)), image]


@contextmanager
def containers_ended(*, in_container: bool) -> Iterator[None]:
    """End what is left of an image's containers: who ends the `docker` command by force does not end them."""
    try:
        yield
    finally:
        if in_container:
            remove_all_of(owner_label()[OWNER_LABEL])
