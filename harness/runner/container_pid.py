"""Finds the process on this machine that is the worker in a container."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from harness.containers.engine import client
from harness.runner.processes import children_of

INITS = frozenset({"tini", "docker-init", "dumb-init", "catatonit"})


class ContainerPid:
    """Finds the worker's process in a container, to which signals must be sent; the id file names the container.

    This works on Linux with a local Docker engine; otherwise no process is found.
    """

    def __init__(self, id_file: Path) -> None:
        self._id_file = id_file
        self._main: int | None = None

    def find(self) -> int | None:
        """Return the worker's process id on this machine, or None before its start and after its end.

        If the main process is an init that forwards signals, this is the id of its child, because no init can forward
        SIGKILL and SIGSTOP. The name of the process is read each time, because the first process in a container is
        at first a process of Docker.
        """
        self._main = self._main or _main_process(self._id_file)
        if self._main is None:
            return None
        try:
            if Path(f"/proc/{self._main}/comm").read_text(encoding="utf-8").strip() not in INITS:
                return self._main
        except OSError:
            return None
        return next(iter(children_of(self._main)), None)


def _main_process(id_file: Path) -> int | None:
    from docker.errors import APIError  # noqa: PLC0415 - slow to load, and only for containers

    try:
        name = id_file.read_text(encoding="ascii")
    except OSError:
        return None
    with closing(client()) as engine:
        try:
            return (int(engine.containers.get(name).attrs["State"]["Pid"]) or None) if name else None
        except APIError:
            return None
