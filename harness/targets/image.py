"""A worker's image as a target: run by the `docker` command, in this machine's network and process table.

So the world's servers, which listen on loopback, are reached, and its processes are seen as any other worker's are.
What the world has on disk is seen under the same path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.containers.engine import EngineError, engine_problem
from harness.containers.reaper import owner_label

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


def in_docker(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the command line that runs an image beside a world; values of variables are in no argument (SEC-2)."""
    docker, image = command
    ((label, owner),) = owner_label().items()
    options = ["--rm", "--interactive", "--network", "host", "--pid", "host", "--label", f"{label}={owner}"]
    options += ["--user", f"{os.getuid()}:{os.getgid()}", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108 - in it
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", f"{folder}:{folder}"]
    names = sorted(set(environment) - IMAGE_S_OWN)
    return [docker, "run", *options, *(word for name in names for word in ("--env", name)), image]
