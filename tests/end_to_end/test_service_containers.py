"""Two workers in containers, one of them killed in the middle of an attempt: the other takes the task up."""

from contextlib import ExitStack
from typing import Any

import pytest
from support.service import until
from support.worker import PAYLOAD, expected_contents

from harness.containers.anvil import shared_anvil
from harness.containers.minio import shared_minio
from harness.containers.session import Session
from harness.containers.worker import Running, bare_cryo, service_container
from harness.fakes.dispatcher import Dispatcher, DispatcherServer, TaskStatus
from harness.stores.bucket import Bucket
from harness.stores.moto import moto_server
from harness.stores.queue import make_queue

pytestmark = [pytest.mark.docker, pytest.mark.real_cryo]

BLOCKS = 300
SLOWLY = {"TRACE_CRYO_REQUESTS_PER_SECOND": "50"}
"""At least six seconds for the blocks of the chain: two times the lease."""

LEASE_SECONDS = 3.0


def test_pub_6_what_a_killed_container_had_claimed_is_published_once_by_the_other(
    cryo_containers: Session, minio_bucket: Bucket
):
    """PUB-6, LSE-2, STG-5: the lease ends, a new wake-up comes, the version is registered once and exact."""
    payload: dict[str, Any] = PAYLOAD | {"range_start": 1, "range_end": BLOCKS + 1}
    node, store, here = shared_anvil(cryo_containers), shared_minio(cryo_containers), cryo_containers.gateway()
    with ExitStack() as stack:
        queue = make_queue(stack.enter_context(moto_server(here)))
        machine = Dispatcher(queue=queue, bucket=minio_bucket.name, lease_seconds=LEASE_SECONDS)
        server = stack.enter_context(DispatcherServer(machine, addresses=[here]))
        inside = {"S3_ENDPOINT": store.inside_url, "TRACE_RPC_POOL_LOCAL_URL": node.inside_url}
        inside |= {"TRACE_CRYO_CONFIRMATIONS": "0"}  # anvil's `finalized` lies behind its head, and nobody mines on
        platform = queue.environment() | minio_bucket.environment() | server.environment() | inside | SLOWLY
        workers = [
            stack.enter_context(service_container(cryo_containers, platform, alias=name)) for name in ("one", "other")
        ]
        for worker in workers:
            worker.wait_for("service.started")
        task_id = machine.add_task(payload)
        until(lambda: any("cryo.started" in said(worker) for worker in workers))
        busy, idle = sorted(workers, key=lambda worker: "cryo.started" in said(worker), reverse=True)
        busy.docker.kill()
        assert busy.ended().code == 137
        idle.wait_for("attempt.reported")
        idle.docker.stop(timeout=30)
        assert idle.ended().code == 0, "with nothing to do it drains at once"
    task = machine.task(task_id)
    assert (task.status, task.attempt, task.expired_leases) == (TaskStatus.COMPLETED, 2, 1)
    assert [len(times) for times in machine.registered.values()] == [1]
    assert machine.violations == []
    ended, files = bare_cryo(cryo_containers, ["blocks", "--blocks", f"1:{BLOCKS + 1}"], rpc_url=node.inside_url)
    assert ended.code == 0, ended.stdout
    assert minio_bucket.contents() == expected_contents(payload, files)


def said(worker: Running) -> str:
    """Return all that a worker has logged so far."""
    log: bytes = worker.docker.logs(stdout=False)
    return log.decode()
