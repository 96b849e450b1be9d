"""What the containers of one test session share: an owner, a network, and servers that are started once.

With several test processes the first one that needs a server starts it and the others use it; the process that started
the session stops it. `minio.py`, `anvil.py` and `worker.py` start servers for a single test on the session's network.
"""

from __future__ import annotations

import fcntl
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.containers.engine import EngineError, client, configure_testcontainers
from harness.containers.reaper import OWNER_LABEL, owner_label, reap, remove_all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG_LINES = 40
OLDEST_API = "1.25"
"""The version of the engine API that has the options used here."""


@dataclass(frozen=True, slots=True)
class Session:
    """A test session: `owner` is the process that ends it, all of its processes share `folder`."""

    owner: str
    folder: Path

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every container, network and volume of the session."""
        return {OWNER_LABEL: self.owner}

    def shared(self, name: str, start: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of `start`, which only the first process that asks for `name` calls.

        The result is stored in a file that only this user can read, since it may contain keys.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self.folder / f"containers-{name}.json"
        with state.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not state.exists():
                state.touch(mode=0o600)
                try:
                    state.write_text(json.dumps(start()), encoding="utf-8")
                except BaseException:
                    state.unlink()
                    raise
            result: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
            return result

    def network(self) -> str:
        """Return the name of the session's network; the first call creates it and removes leftovers of dead sessions.

        Raises:
            EngineError: there is no engine.
        """
        name: str = self.shared("network", self._make_network)["name"]
        return name

    def gateway(self) -> str:
        """Return this machine's address on the session's network, for servers that containers must reach.

        Raises:
            EngineError: there is no engine.
        """
        engine = client()
        try:
            address: str = engine.networks.get(self.network()).attrs["IPAM"]["Config"][0]["Gateway"]
            return address
        finally:
            engine.close()

    def _make_network(self) -> dict[str, Any]:
        engine = client()
        try:
            reap(engine)
            name = f"cryo-harness-{uuid.uuid4().hex[:12]}"
            engine.networks.create(name, driver="bridge", labels=self.labels, check_duplicate=True)
            return {"name": name}
        finally:
            engine.close()


@contextmanager
def session(folder: Path) -> Iterator[Session]:
    """Start a new session of this process, and remove everything that it started at the end."""
    begun = Session(f"{owner_label()[OWNER_LABEL]}:{uuid.uuid4().hex[:12]}", folder)
    try:
        yield begun
    finally:
        remove_all_of(begun.owner)


def container(image: str, on: Session, *, alias: str, **options: Any) -> Any:
    """Return a testcontainers container, not started yet, with labels and the name `alias` on the session's network.

    Args:
        image: its tag.
        on: the session that owns it.
        alias: its name on the network.
        options: options of docker-py's `containers.create`.
    """
    configure_testcontainers()
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to load

    return DockerContainer(image).with_kwargs(**on_network(on, alias), **options)


def on_network(on: Session, alias: str) -> dict[str, Any]:
    """Return docker-py options for a container with labels on the session's network."""
    from docker.types import EndpointConfig  # noqa: PLC0415 - slow to load

    name = on.network()
    endpoint = EndpointConfig(OLDEST_API, aliases=[alias])
    return {"labels": on.labels, "network": name, "networking_config": {name: endpoint}}


def published(port: int) -> dict[str, tuple[str, None]]:
    """Return the mapping that publishes a container's port on a free port of 127.0.0.1.

    testcontainers would publish on every address; docker-py accepts an address with the port.
    """
    return {f"{port}/tcp": ("127.0.0.1", None)}


@contextmanager
def running(made: Any) -> Iterator[Any]:
    """Start a container, yield its docker-py object, and remove it; an exception gets the container's log as a note."""
    with made:
        try:
            yield made.get_wrapped_container()
        except Exception as error:
            log = made.get_wrapped_container().logs(tail=LOG_LINES).decode(errors="replace")
            error.add_note(f"log of the container of {made.image}:\n{log}")
            raise


def last_log_lines(owner: str) -> list[tuple[str, str]]:
    """Return the last log lines of every container of an owner, with its name; none without an engine."""
    try:
        engine = client()
    except EngineError:
        return []
    try:
        containers = engine.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={owner}"})
        return [
            (
                f"container {container.name} ({container.image.tags[:1]}, {container.status})",
                container.logs(tail=LOG_LINES).decode(errors="replace"),
            )
            for container in containers
        ]
    finally:
        engine.close()
