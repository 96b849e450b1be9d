"""MinIO as an S3 endpoint of the tests' own kind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.containers.minio import minio_container
from harness.stores.bucket import S3Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def minio_server() -> Iterator[S3Endpoint]:
    """Run MinIO in a container and yield its endpoint."""
    with minio_container() as server:
        yield S3Endpoint(server.url, server.access_key, server.secret_key)
