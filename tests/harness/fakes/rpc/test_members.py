"""Faults of a whole pool: members that have pruned data or lag, rejected batches, outages of a gateway."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.faults.rpc import BatchLimit, Lagging, Outage, Pruned, RejectionForm, Result, read
from harness.world.chain import Chain

CHAIN = Chain(1, seed=2)
LATEST = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
"""A call that any node answers."""


def send(pool: RpcPool, body: object) -> tuple[int, str, bytes]:
    """Send one request on a new connection; return status, content type and body."""
    parts = urlsplit(pool.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", "/", json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read()
    finally:
        connection.close()


def ask(pool: RpcPool, method: str, *params: object) -> Any:
    """Make one call and return its result, or the code of its error."""
    _, _, body = send(pool, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
    answer = json.loads(body)
    return answer["result"] if "result" in answer else answer["error"]["code"]


def batch(pool: RpcPool, calls: int) -> tuple[int, str, bytes]:
    """Send a batch of calls that any node answers."""
    return send(pool, [LATEST | {"id": number} for number in range(1, calls + 1)])


@pytest.mark.parametrize(("receipts", "answered"), [("null", None), ("empty", []), ("error", 4444)])
def test_a_pruned_node_has_headers_without_receipts_and_logs(receipts: Any, answered: object):
    """Below the block there are no logs, by range and by hash, and no receipts; headers and other data remain."""
    with RpcPool(Node(CHAIN, head=1000)) as pool:
        block = ask(pool, "eth_getBlockByNumber", "0xd", False)
        later = ask(pool, "eth_getLogs", {"fromBlock": "0xe", "toBlock": "0x14"})
        transaction = block["transactions"][0]
        assert ask(pool, "eth_getLogs", {"blockHash": block["hash"]})
        pool.add_faults(Pruned(14, receipts))
        assert ask(pool, "eth_getBlockByNumber", "0xd", False) == block
        assert ask(pool, "eth_getLogs", {"blockHash": block["hash"]}) == []
        assert ask(pool, "eth_getLogs", {"fromBlock": "0xd", "toBlock": "0x14"}) == later
        assert ask(pool, "eth_getBlockReceipts", "0xd") == answered
        assert ask(pool, "eth_getTransactionReceipt", transaction) is None
        assert ask(pool, "eth_getBlockReceipts", "0xe")
        assert [call.method for call in pool.fired] == [
            *("eth_getLogs", "eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt")
        ]


def test_every_second_call_is_answered_by_the_pruned_member():
    """With `every` = 2 only calls that the members answer differently are counted."""
    with RpcPool(Node(CHAIN, head=1000), [Pruned(100, method="eth_getLogs", nth=2, every=2)]) as pool:
        criteria = {"fromBlock": "0xd", "toBlock": "0xd"}
        found = []
        for _ in range(2):
            found.append(bool(ask(pool, "eth_getLogs", criteria)))
            assert ask(pool, "eth_getLogs", {"fromBlock": "0x6d", "toBlock": "0x70"})
            found.append(bool(ask(pool, "eth_getLogs", criteria)))
        assert found == [True, False, True, False]


@pytest.mark.parametrize(("unknown_hash", "answered"), [("empty", []), ("error", -32000)])
def test_a_lagging_member_does_not_know_the_latest_blocks(unknown_hash: Any, answered: object):
    """Past its head logs are empty without an error, and blocks and receipts are null; other data is the same."""
    with RpcPool(Node(CHAIN, head=1000)) as pool:
        block = ask(pool, "eth_getBlockByNumber", "0x6e", False)
        earlier = ask(pool, "eth_getLogs", {"fromBlock": "0xd", "toBlock": "0x64"})
        pool.add_faults(Lagging(100, unknown_hash))
        assert ask(pool, "eth_blockNumber") == "0x64"
        assert ask(pool, "eth_getBlockByNumber", "0x6e", False) is None
        assert ask(pool, "eth_getBlockReceipts", "0x6e") is None
        assert ask(pool, "eth_getTransactionReceipt", block["transactions"][0]) is None
        assert ask(pool, "eth_getLogs", {"fromBlock": "0xd", "toBlock": "0x6e"}) == earlier
        assert ask(pool, "eth_getLogs", {"fromBlock": "0x6e", "toBlock": "0x6e"}) == []
        assert ask(pool, "eth_getLogs", {"blockHash": block["hash"]}) == answered


ERROR = {"code": -32600, "message": "batch too large"}


def error(identifier: object) -> dict[str, object]:
    """Return the error of a batch that is too large."""
    return {"jsonrpc": "2.0", "id": identifier, "error": ERROR}


FORMS: dict[RejectionForm, object] = {
    "object": error(None),
    "first": error(1),
    "list": [error(1)],
    "null-list": [error(None)],
    "each": [error(1), error(2), error(3)],
    "each-null": [error(None)] * 3,
    "bare": {"error": ERROR},
    "string": {"error": "batch too large"},
    "message": {"message": "batch too large"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_over_the_limit_is_rejected_in_each_form(form: RejectionForm):
    """A batch at the limit is answered, a larger one is rejected as a whole; single calls are never rejected."""
    with RpcPool(Node(CHAIN, head=1000), [BatchLimit(2, form)]) as pool:
        _, _, answered = batch(pool, 2)
        assert [one["result"] for one in json.loads(answered)] == ["0x3e8"] * 2
        status, kind, refused = batch(pool, 3)
        assert (status, kind, json.loads(refused)) == (200, "application/json", FORMS[form])
        assert ask(pool, "eth_blockNumber") == "0x3e8"
        assert (len(pool.journal), len(pool.fired)) == (6, 3)


@pytest.mark.parametrize(
    ("form", "kind", "body"),
    [
        ("html", "text/html", b"<html><body>no batches</body></html>"),
        ("text", "text/plain", b"no batches"),
        ("empty", "application/json", b""),
    ],
)
def test_a_rejection_can_have_a_status_and_a_body_that_is_not_json(form: RejectionForm, kind: str, body: bytes):
    """Gateways also reject with 4xx and 5xx and other bodies."""
    limit = BatchLimit(0, form, status=413, message="no batches")
    with RpcPool(Node(CHAIN, head=1000), [limit]) as pool:
        assert batch(pool, 1) == (413, kind, body)


@pytest.mark.parametrize("form", ["reset", "close"])
def test_a_rejection_can_close_the_connection(form: RejectionForm):
    """The connection ends without an answer, and the next connection works."""
    with RpcPool(Node(CHAIN, head=1000), [BatchLimit(1, form)]) as pool:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            batch(pool, 2)
        assert ask(pool, "eth_blockNumber") == "0x3e8"


def test_a_limit_can_apply_to_one_method():
    """A provider that rejects `trace_*` in batches accepts other methods."""
    with RpcPool(Node(CHAIN, head=1000), [BatchLimit(0, method="trace_block")]) as pool:
        trace = {"id": 9, "method": "trace_block", "params": ["0xd"]}
        assert json.loads(batch(pool, 3)[2])[2]["result"] == "0x3e8"
        assert json.loads(send(pool, [LATEST, trace])[2])["error"]["code"] == -32600
        assert "result" in json.loads(send(pool, trace)[2])


def test_an_outage_rejects_a_number_of_requests_of_any_method():
    """From the second call of a method on, three requests are rejected, batches as a whole; later ones are answered."""
    fault = Outage(3, form="each", method="eth_chainId", nth=2, times=1)
    with RpcPool(Node(CHAIN, head=1000), [fault]) as pool:
        assert ask(pool, "eth_chainId") == "0x1"
        assert ask(pool, "eth_chainId") == -32603
        assert [one["error"]["code"] for one in json.loads(batch(pool, 2)[2])] == [-32603] * 2
        assert ask(pool, "eth_blockNumber") == -32603
        assert ask(pool, "eth_chainId") == "0x1"
        assert len(pool.fired) == 4


def test_an_outage_of_some_seconds_ends_by_the_pools_clock():
    """The duration of an outage is measured with the pool's clock, independently of the number of requests."""
    now = [100.0]
    fault = Outage(seconds=5, form="string", message="Too Many Requests", times=1)
    with RpcPool(Node(CHAIN, head=1000), [fault], clock=lambda: now[0]) as pool:
        for at in (100.0, 103.0, 104.9):
            now[0] = at
            assert json.loads(send(pool, LATEST)[2]) == {"error": "Too Many Requests"}
        now[0] = 105.0
        assert ask(pool, "eth_blockNumber") == "0x3e8"


def test_methods_of_the_harness_have_no_faults_by_default():
    """A call between a pool and fake Cryo has a fault only if the fault names its method."""
    with RpcPool(Node(CHAIN, head=1000), [Outage(10, times=1)]) as pool:
        assert ask(pool, "harness_script")["head"] == 1000
        assert ask(pool, "eth_blockNumber") == -32603
        assert ask(pool, "harness_script")["head"] == 1000
        pool.add_faults(Result({}, method="harness_script"))
        assert ask(pool, "harness_script") == {}


def test_faults_of_members_and_rejections_are_read_from_json():
    """`do` names them, and the error for an unknown form names the field."""
    assert read([{"do": "pruned", "below": 5, "receipts": "error"}]) == [Pruned(5, "error")]
    assert read([{"do": "lagging", "head": 5}]) == [Lagging(5)]
    assert read([{"do": "batch-limit", "calls": 3, "form": "null-list"}]) == [BatchLimit(3, "null-list")]
    assert read([{"do": "outage", "requests": 4, "form": "html"}]) == [Outage(4, form="html")]
    with pytest.raises(ValueError, match=r"0\.outage\.form"):
        read([{"do": "outage", "form": "smoke"}])
