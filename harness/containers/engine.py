"""The Docker engine: whether one is available, and the configuration of testcontainers for it."""

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
    """There is no Docker engine, or a request to it failed; the message says what to do."""


@cache
def engine_problem() -> str | None:
    """Return why no engine is available and what to do, or None if one is; checked once per process."""
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
    """Connect to the engine's address once before docker-py does, which leaks its socket if nothing listens.

    Raises:
        EngineError: nothing listens there.
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
    """Configure testcontainers to use published ports on 127.0.0.1 and no reaper container.

    The image of its reaper needs a registry; `reaper.py` removes containers by label instead.
    """
    from testcontainers.core import config  # noqa: PLC0415 - slow to load

    settings = config.testcontainers_config
    settings.ryuk_disabled = True
    settings.sleep_time = 0.1
    settings.max_tries = 600
    settings.tc_host_override = "127.0.0.1"
    settings.connection_mode_override = config.ConnectionMode.docker_host
