"""What the containers of one test session share: an owner, a network of its own, and servers that are started once.

With several test processes the first that wants a server starts it and the others find it; whoever began the session
ends it. What one test alone uses is started by `minio.py`, `anvil.py` and `worker.py` on the session's network.
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
"""The engine API that the options here are written for; any later one takes them."""


@dataclass(frozen=True, slots=True)
class Session:
    """A test session: `owner` is the process that ends it, `folder` is seen by all of its processes."""

    owner: str
    folder: Path

    @property
    def labels(self) -> dict[str, str]:
        """What every container, network and volume of the session bears."""
        return {OWNER_LABEL: self.owner}

    def shared(self, name: str, start: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `start` returned to the first process that asked for `name`.

        It is kept in a file that only this user can read, as keys are in it.
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
            found: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
            return found

    def network(self) -> str:
        """Return the name of the session's network, made at the first call; leftovers of dead sessions go then.

        Raises:
            EngineError: there is no engine.
        """
        name: str = self.shared("network", self._make_network)["name"]
        return name

    def gateway(self) -> str:
        """Return this machine's address on the session's network, where servers that containers must reach listen.

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
    """Begin a session of this process, apart from any other of it, and end it with all that it started."""
    begun = Session(f"{owner_label()[OWNER_LABEL]}:{uuid.uuid4().hex[:12]}", folder)
    try:
        yield begun
    finally:
        remove_all_of(begun.owner)


def container(image: str, on: Session, *, alias: str, **options: Any) -> Any:
    """Return a testcontainers container on the session's network, labelled, known there as `alias`; not started yet.

    Args:
        image: its tag.
        on: whose it is.
        alias: its name on the network.
        options: as docker-py's `containers.create` takes them.
    """
    configure_testcontainers()
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to load

    return DockerContainer(image).with_kwargs(**on_network(on, alias), **options)


def on_network(on: Session, alias: str) -> dict[str, Any]:
    """Return docker-py's options for a labelled container on the session's network."""
    from docker.types import EndpointConfig  # noqa: PLC0415 - slow to load

    name = on.network()
    endpoint = EndpointConfig(OLDEST_API, aliases=[alias])
    return {"labels": on.labels, "network": name, "networking_config": {name: endpoint}}


def published(port: int) -> dict[str, tuple[str, None]]:
    """Return the port mapping that publishes a container's port on 127.0.0.1, on a free port there.

    testcontainers would publish on every address; docker-py takes the address with the port.
    """
    return {f"{port}/tcp": ("127.0.0.1", None)}


@contextmanager
def running(made: Any) -> Iterator[Any]:
    """Start a container, yield docker-py's view of it, and remove it; an error that passes by takes its log along."""
    with made:
        try:
            yield made.get_wrapped_container()
        except Exception as error:
            log = made.get_wrapped_container().logs(tail=LOG_LINES).decode(errors="replace")
            error.add_note(f"the container of {made.image} had written:\n{log}")
            raise


def last_words(owner: str) -> list[tuple[str, str]]:
    """Return the last lines of every container of an owner, each under its name; nothing where there is no engine."""
    try:
        engine = client()
    except EngineError:
        return []
    try:
        found = engine.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={owner}"})
        return [
            (
                f"container {one.name} ({one.image.tags[:1]}, {one.status})",
                one.logs(tail=LOG_LINES).decode(errors="replace"),
            )
            for one in found
        ]
    finally:
        engine.close()
