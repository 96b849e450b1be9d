"""A short honest run, as the recorder would record it."""

import pytest

from harness.history import (
    CryoEnded,
    DispatcherCall,
    Event,
    HarnessAction,
    MessageAcknowledged,
    MessageReceived,
    RpcCall,
    StoreRequest,
    StoreResponse,
    WorkerExited,
    WorkerStarted,
)
from harness.runner.recorder import Recorder

PREFIX = "cryo/31337/0f8fad5b-d9cb-469f-a165-70867728950e/500_1700/version/"
TASK = "5b0e0f6a-3a41-4c6b-8f8e-0d2c9f0a1b2c"


def add_store_request(recorder: Recorder, operation: str, key: str, **fields: object) -> None:
    request = recorder.add(StoreRequest, operation=operation, key=key, worker=0)
    kinds = {"put": "object_put", "list": "object_listed", "head": "store_other"}
    recorder.add(
        StoreResponse,
        kind=kinds[operation],
        request_number=request.number,
        operation={"put": "PUT", "list": "GET", "head": "HEAD"}[operation],
        key=key,
        status=200,
        delivered_status=200,
        **fields,
    )


def add_dispatcher_call(recorder: Recorder, kind: str) -> None:
    recorder.add(
        DispatcherCall, kind=kind, task_id=TASK, attempt=1, request={}, status=200, response={}, fault=None, worker=0
    )


@pytest.fixture
def honest() -> list[Event]:
    """One file and a manifest, with a batch of two calls, and a second PUT of the file."""
    recorder = Recorder()
    recorder.add(WorkerStarted, worker=0, task=None, pid=1)
    recorder.add(MessageReceived, task_id=TASK)
    add_dispatcher_call(recorder, "claim")
    add_store_request(recorder, "head", "")
    recorder.add(RpcCall, node="main", method="eth_chainId", blocks=None, fault=False, request=1)
    for block in (500, 501):
        recorder.add(RpcCall, node="main", method="eth_getBlockByNumber", blocks=(block, block), fault=False, request=2)
    recorder.add(CryoEnded, start_number=1)
    for create_only in (True, False):
        name = "network_31337__blocks__00000500_to_00001499.parquet"
        condition = {"create_only": True} if create_only else {"if_match": '"etag"'}
        add_store_request(recorder, "put", PREFIX + name, **condition)
    add_store_request(recorder, "put", PREFIX + "_manifest.json", create_only=True)
    add_store_request(recorder, "list", PREFIX)
    add_dispatcher_call(recorder, "complete")
    recorder.add(MessageAcknowledged, task_id=TASK, worker=0)
    recorder.add(HarnessAction, action="SIGTERM", worker=0)
    recorder.add(WorkerExited, worker=0, code=0)
    return recorder.events
