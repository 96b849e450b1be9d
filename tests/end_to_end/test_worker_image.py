"""The main job in containers: the worker's image, real Cryo in it, anvil and MinIO on one docker network."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.worker import PAYLOAD, events, expected_contents, prefix_of

from harness.containers.anvil import AnvilServer, anvil_container, shared_anvil
from harness.containers.minio import MinioServer, minio_container, shared_minio
from harness.containers.session import Session
from harness.containers.worker import STAGING, Running, bare_cryo, worker_container
from harness.stores.bucket import Bucket
from harness.stores.minio import endpoint_of

pytestmark = [pytest.mark.docker, pytest.mark.real_cryo]

BLOCKS = 300
SLOWLY = {"TRACE_CRYO_REQUESTS_PER_SECOND": "50"}
"""At least six seconds for the blocks of the chain, so that something can happen while Cryo works."""

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def node(cryo_containers: Session) -> AnvilServer:
    """The session's anvil in a container."""
    return shared_anvil(cryo_containers)


@pytest.fixture(scope="module")
def server(cryo_containers: Session) -> MinioServer:
    """The session's MinIO in a container."""
    return shared_minio(cryo_containers)


@pytest.fixture
def bucket(minio_bucket: Bucket) -> Bucket:
    """A bucket of this test's."""
    return minio_bucket


def payload_of(dataset: str = "blocks") -> dict[str, Any]:
    return PAYLOAD | {"cryo_dataset_name": dataset, "range_start": 1, "range_end": BLOCKS + 1}


def environment(node: AnvilServer, server: MinioServer, bucket: Bucket, **extra: str) -> dict[str, str]:
    """Return what a deployment gives the image; its mode is real by itself."""
    inside = {"S3_ENDPOINT": server.inside_url, "TRACE_RPC_POOL_LOCAL_URL": node.inside_url}
    inside |= {"TRACE_CRYO_CONFIRMATIONS": "0"}  # anvil's `finalized` lies behind its head, and nobody mines on
    return bucket.environment() | inside | extra


def bare(on: Session, node: AnvilServer, dataset: str = "blocks") -> dict[str, bytes]:
    ended, files = bare_cryo(on, [dataset, "--blocks", f"1:{BLOCKS + 1}"], rpc_url=node.inside_url)
    assert ended.code == 0, ended.stdout
    return files


@pytest.mark.parametrize("dataset", ["logs", "traces"])
def test_what_the_image_publishes_is_byte_for_byte_what_a_bare_cryo_writes(
    dataset: str,
    cryo_containers: Session,
    node: AnvilServer,
    server: MinioServer,
    bucket: Bucket,
    tmp_path: Path,
    record_property: Start,
):
    """RNG-2, LAY-1 to LAY-9, PUB-1, PUB-2, STG-3, MOD-3: objects, keys, manifest and publication are exact."""
    payload = payload_of(dataset)
    with worker_container(cryo_containers, payload, environment(node, server, bucket), folder=tmp_path) as running:
        ended = running.ended()
        assert ended.code == 0, ended.stderr
        assert running.files(STAGING) == {}
    files = bare(cryo_containers, node, dataset)
    assert bucket.contents() == expected_contents(payload, files)
    prefix = prefix_of(payload)
    assert json.loads(ended.stdout) == {
        "dataset_uuid": payload["dataset_uuid"],
        "dataset_version": prefix.split("/")[-2],
        "storage_ref": {"scheme": "s3", "bucket": bucket.name, "prefix": prefix, "glob": "*.parquet"},
        "config_hash": payload["config_hash"],
        "range_start": 1,
        "range_end": BLOCKS + 1,
    }
    # The worker's own word on the binary inside its image: CI holds it against the real one.
    record_property("cryo_sha256", bucket.metadata(prefix + next(iter(files)))["cryo-sha256"])


@pytest.mark.parametrize("cap", ["MAX_PARQUET_BYTES_PER_FILE", "MAX_TOTAL_PARQUET_BYTES_PER_RANGE"])
def test_cap_2_over_a_cap_nothing_reaches_the_bucket(
    cap: str, cryo_containers: Session, node: AnvilServer, server: MinioServer, bucket: Bucket, tmp_path: Path
):
    """CAP-1, CAP-2: fatal, the cap is named, the bucket stays empty, the staging is gone."""
    variables = environment(node, server, bucket, **{cap: "10"})
    with worker_container(cryo_containers, payload_of(), variables, folder=tmp_path) as running:
        ended = running.ended()
        assert running.files(STAGING) == {}
    assert (ended.code, ended.stdout) == (69, "")
    assert cap in ended.stderr
    assert bucket.contents() == {}


def test_out_2_a_node_that_stops_in_the_middle_is_another_attempts_business(
    cryo_containers: Session, server: MinioServer, bucket: Bucket, tmp_path: Path
):
    """OUT-2, OUT-3, PUB-3, STG-8: retryable, nothing published, nothing staged.

    Where the network is gone before its last words are sent, no answer comes, and the deadline may end the attempt.
    """
    with anvil_container(cryo_containers, "anvil-that-stops") as (node, container):
        variables = environment(node, server, bucket, **SLOWLY, TRACE_CRYO_DEADLINE_SECONDS="30")
        with worker_container(cryo_containers, payload_of(), variables, folder=tmp_path) as running:
            running.wait_for("cryo.started")
            container.kill()
            ended = running.ended()
            assert running.files(STAGING) == {}
    assert (ended.code, ended.stdout) == (75, "")
    assert events(ended.stderr)[-1]["error"] in {"NodeUnavailable", "DeadlineExceeded"}
    assert bucket.contents() == {}


def test_a_store_that_is_paused_in_the_middle_only_costs_time(
    cryo_containers: Session, node: AnvilServer, tmp_path: Path
):
    """LAY-5, LAY-6, PUB-1: the upload waits for the store, and the version is as exact as ever."""
    with minio_container(cryo_containers, "minio-that-pauses") as (server, container):
        bucket = endpoint_of(server).make_bucket()
        variables = environment(node, server, bucket, **SLOWLY)
        with worker_container(cryo_containers, payload_of(), variables, folder=tmp_path) as running:
            running.wait_for("cryo.started")
            container.pause()
            running.wait_for("range.proved")
            container.unpause()
            ended = running.ended()
        assert ended.code == 0, ended.stderr
        assert bucket.contents() == expected_contents(payload_of(), bare(cryo_containers, node))


def test_stg_5_a_container_that_is_killed_is_made_good_by_the_next(
    cryo_containers: Session, node: AnvilServer, server: MinioServer, bucket: Bucket, tmp_path: Path
):
    """STG-5, LAY-6, LAY-10, PUB-6: whatever the first did, the second ends with the exact prefix."""
    slow = environment(node, server, bucket, **SLOWLY)
    with worker_container(cryo_containers, payload_of(), slow, folder=tmp_path) as running:
        running.wait_for("cryo.started")
        running.docker.kill()
        assert running.ended().code == 137
    assert bucket.contents() == {}
    fast = environment(node, server, bucket)
    with worker_container(cryo_containers, payload_of(), fast, folder=tmp_path, words=["--attempt", "2"]) as running:
        ended = running.ended()
    assert ended.code == 0, ended.stderr
    assert bucket.contents() == expected_contents(payload_of(), bare(cryo_containers, node))


def test_lse_4_docker_stop_ends_it_in_time_with_staging_consistent(
    cryo_containers: Session, node: AnvilServer, server: MinioServer, bucket: Bucket, tmp_path: Path
):
    """LSE-4, STG-8: SIGTERM reaches the worker through its init; Cryo is stopped, nothing is staged or published."""
    variables = environment(node, server, bucket, **SLOWLY)
    with worker_container(cryo_containers, payload_of(), variables, folder=tmp_path) as running:
        running.wait_for("cryo.started")
        running.docker.stop(timeout=30)
        ended = running.ended()
        assert running.files(STAGING) == {}
    assert (ended.code, ended.stdout) == (143, ""), "an end by SIGKILL would be 137"
    assert events(ended.stderr)[-1]["event"] == "attempt.stopped"
    assert bucket.contents() == {}


@pytest.fixture
def idle(cryo_containers: Session, tmp_path: Path) -> Iterator[Running]:
    """The image with nobody to speak to, ended."""
    with worker_container(cryo_containers, {}, {"S3_BUCKET": "none"}, folder=tmp_path) as running:
        yield running


def test_pay_2_a_bad_payload_is_told_by_the_image_too(idle: Running):
    """PAY-2: exit 65, every bad field named, and no need of a store or a node for it."""
    ended = idle.ended()
    assert (ended.code, ended.stdout) == (65, "")
    assert "dataset_uuid" in ended.stderr
    assert "range_end" in ended.stderr
