"""The Docker engine: is there one, and how testcontainers has to speak to it here."""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import Any
from urllib.parse import urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_PORT = 2375
HELP = "start one (Debian: apt-get install docker.io, then dockerd as root), or set DOCKER_HOST"


class EngineError(Exception):
    """There is no Docker engine, or it did not do what was asked; the message says what would help."""


@cache
def engine_problem() -> str | None:
    """Return why there is no usable engine, with what would help; None where there is one. Asked once a process."""
    try:
        client().close()
    except EngineError as error:
        return str(error)
    return None


def client() -> Any:
    """Return a client of the engine.

    Raises:
        EngineError: no engine answers.
    """
    check_reachable(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
    import docker  # noqa: PLC0415 - slow to load, and only tests with containers need it

    try:
        return docker.from_env(timeout=60)
    except docker.errors.DockerException as error:
        raise EngineError(f"no Docker engine answers ({type(error).__name__}): {HELP}") from None


def check_reachable(host: str) -> None:
    """Connect to the engine's address once, before docker-py does, which leaks its socket where nobody listens.

    Raises:
        EngineError: nobody listens there.
    """
    address = urlsplit(host)
    unix = address.scheme == "unix"
    try:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            probe.settimeout(5)
            probe.connect(address.path if unix else (address.hostname, address.port or DEFAULT_PORT))
    except OSError as error:
        raise EngineError(f"no Docker engine answers at {host} ({error.strerror or error}): {HELP}") from None


def configure_testcontainers() -> None:
    """Have testcontainers reach published ports on 127.0.0.1 and do without its own reaper.

    The reaper's image can't be had where no registry answers; `reaper.py` does its work by label.
    """
    from testcontainers.core import config  # noqa: PLC0415 - slow to load

    settings = config.testcontainers_config
    settings.ryuk_disabled = True
    settings.sleep_time = 0.1
    settings.max_tries = 600
    settings.tc_host_override = "127.0.0.1"
    settings.connection_mode_override = config.ConnectionMode.docker_host
