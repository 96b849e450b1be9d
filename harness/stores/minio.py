"""MinIO as an S3 endpoint for tests."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.containers.minio import MinioServer, shared_minio
from harness.containers.session import session
from harness.stores.bucket import S3Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


def endpoint_of(server: MinioServer) -> S3Endpoint:
    """Return the endpoint of a MinIO for this machine."""
    return S3Endpoint(server.url, server.access_key, server.secret_key)


@contextmanager
def minio_server() -> Iterator[S3Endpoint]:
    """Run MinIO in a container with a new session, and yield its endpoint."""
    with tempfile.TemporaryDirectory() as folder, session(Path(folder)) as begun:
        yield endpoint_of(shared_minio(begun))
