"""MinIO in a container: the S3 server that checks what moto lets pass, signatures, checksums and permissions."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.containers.engine import client, configure_testcontainers
from harness.containers.images import IMAGES, build
from harness.containers.reaper import owner_label, reap

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 9000


@dataclass(frozen=True, slots=True)
class MinioServer:
    """Where a MinIO is, and the keys of its root user."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)


@contextmanager
def minio_container() -> Iterator[MinioServer]:
    """Run MinIO, its port published on 127.0.0.1 and its data in memory, and remove it afterwards.

    Raises:
        EngineError: there is no engine, or the image could not be built.
    """
    configure_testcontainers()
    from testcontainers.community.minio import MinioContainer  # noqa: PLC0415 - slow to load

    build(IMAGES["minio"], lambda _text: None)
    engine = client()
    reap(engine)
    engine.close()
    keys = (secrets.token_hex(8), secrets.token_hex(16))
    container = MinioContainer(
        IMAGES["minio"].tag, port=PORT, access_key=keys[0], secret_key=keys[1], labels=owner_label()
    )
    container.with_env("MINIO_ROOT_USER", keys[0]).with_env("MINIO_ROOT_PASSWORD", keys[1])
    container.with_tmpfs_mount("/data")
    # testcontainers would publish on every address; docker-py takes the address with the port.
    container.ports = {f"{PORT}/tcp": ("127.0.0.1", None)}  # type: ignore[dict-item]
    with container:
        yield MinioServer(f"http://127.0.0.1:{container.get_exposed_port(PORT)}", *keys)
