"""anvil in a container, for workers in containers; it has the same chain as the process of `node.py`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.containers.anvil_chain import Mined, mine
from harness.containers.images import IMAGES, build
from harness.containers.node import ARGUMENTS
from harness.containers.session import container, published, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.containers.session import Session

PORT = 8545


@dataclass(frozen=True, slots=True)
class AnvilServer:
    """A node with mined blocks: its URL from this machine (`url`) and from the session's containers (`inside_url`)."""

    url: str
    inside_url: str
    mined: Mined


def shared_anvil(on: Session) -> AnvilServer:
    """Return the anvil of a session, started at the first call and removed with the session; don't mine on it.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    found = on.shared("anvil", lambda: _start_shared(on))
    return AnvilServer(found["url"], found["inside_url"], Mined(**found["mined"]))


@contextmanager
def anvil_container(on: Session, alias: str) -> Iterator[tuple[AnvilServer, Any]]:
    """Run a separate anvil, yield it and its docker-py container (to stop or pause it), and remove it.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = _make(on, alias)
    with running(made) as docker:
        yield _server(made, alias), docker


def _make(on: Session, alias: str) -> Any:
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415 - slow to load

    # The entry point is set because other images of anvil start a shell.
    made = container(build(IMAGES["anvil"]), on, alias=alias, entrypoint="anvil")
    made.with_command(["--host", "0.0.0.0", "--port", str(PORT), *ARGUMENTS])  # noqa: S104 - inside its container
    made.ports = published(PORT)
    return made.waiting_for(LogMessageWaitStrategy("Listening on"))


def _start_shared(on: Session) -> dict[str, Any]:
    made = _make(on, "anvil").start()
    server = _server(made, "anvil")
    made.get_docker_client().client.close()
    return asdict(server)


def _server(made: Any, alias: str) -> AnvilServer:
    url = f"http://127.0.0.1:{made.get_exposed_port(PORT)}"
    return AnvilServer(url, f"http://{alias}:{PORT}", mine(url))
