"""MinIO in a container: an S3 server that, unlike moto, checks signatures, checksums and permissions."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from harness.containers.images import IMAGES, build
from harness.containers.session import container, published, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.containers.session import Session

PORT = 9000


@dataclass(frozen=True, slots=True)
class MinioServer:
    """A MinIO: its URL from this machine (`url`) and from containers of the session (`inside_url`), and root keys."""

    url: str
    inside_url: str
    access_key: str
    secret_key: str = field(repr=False)


def shared_minio(on: Session) -> MinioServer:
    """Return the MinIO of a session, started at the first call and removed with the session.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    return MinioServer(**on.shared("minio", lambda: _start_shared(on)))


@contextmanager
def minio_container(on: Session, alias: str) -> Iterator[tuple[MinioServer, Any]]:
    """Run a separate MinIO, yield it and its docker-py container (to pause or stop it), and remove it.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    made = _make(on, alias)
    with running(made) as docker:
        yield _server(made, alias), docker


def _make(on: Session, alias: str) -> Any:
    from testcontainers.core.wait_strategies import HttpWaitStrategy  # noqa: PLC0415 - slow to load

    keys = {"MINIO_ROOT_USER": secrets.token_hex(8), "MINIO_ROOT_PASSWORD": secrets.token_hex(16)}
    made = container(build(IMAGES["minio"]), on, alias=alias)
    made.with_command(f"server /data --address :{PORT}").with_envs(**keys).with_tmpfs_mount("/data")
    made.ports = published(PORT)
    return made.waiting_for(HttpWaitStrategy(PORT, "/minio/health/live"))


def _start_shared(on: Session) -> dict[str, Any]:
    made = _make(on, "minio").start()
    server = _server(made, "minio")
    made.get_docker_client().client.close()
    return asdict(server)


def _server(made: Any, alias: str) -> MinioServer:
    url = f"http://127.0.0.1:{made.get_exposed_port(PORT)}"
    return MinioServer(url, f"http://{alias}:{PORT}", made.env["MINIO_ROOT_USER"], made.env["MINIO_ROOT_PASSWORD"])
