"""What end-to-end tests ask for: a worker, the chain on loopback, a store of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.worker import CHAIN_ID, Target, Worker, bucket_target

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.stores.bucket import Bucket
from harness.world.chain import Chain


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A worker in fake mode, until a test says otherwise."""
    return Worker(tmp_path)


@pytest.fixture
def pool() -> Iterator[RpcPool]:
    """The deterministic chain on loopback."""
    with RpcPool(Node(Chain(CHAIN_ID), head=1_000_000)) as served:
        yield served


@pytest.fixture
def file_target(tmp_path: Path) -> Target:
    """A directory."""
    return Target(f"file://{tmp_path}/out", {}, directory=tmp_path / "out")


@pytest.fixture
def moto_target(moto_bucket: Bucket) -> Target:
    """A bucket on moto."""
    return bucket_target(moto_bucket)


@pytest.fixture
def minio_target(minio_bucket: Bucket) -> Target:
    """A bucket on MinIO; whoever uses it is marked `docker`."""
    return bucket_target(minio_bucket)


@pytest.fixture(params=["file", "moto", pytest.param("minio", marks=pytest.mark.docker)])
def target(request: pytest.FixtureRequest) -> Target:
    """A store of each kind."""
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found
