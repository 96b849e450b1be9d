"""The fake RPC pool over HTTP: responses, scripted faults, the journal."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.faults.rpc import Close, Error, Hang, Items, OtherBlock, Raw, Reset, Result, Status, Stop, Truncate, read
from harness.world.chain import Chain
from harness.world.quirks import Quirks
from harness.world.tables import build

CHAIN = Chain(1, seed=2)
HASHES, WHOLE = False, True


def post(url: str, body: object, path: str = "/", timeout: float = 20.0):
    """Send one request on a new connection and return (status, parsed body)."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def ask(pool: RpcPool, method: str, *params: object):
    """Make one call and return its result."""
    _, answer = post(pool.url, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
    assert answer["id"] == 7
    return answer["result"]


@pytest.fixture
def pool():
    """A pool of one endpoint without faults."""
    with RpcPool(Node(CHAIN, head=1000)) as running:
        yield running


def test_blocks_receipts_and_logs_agree(pool: RpcPool):
    """The responses about one block agree with each other and with the chain."""
    block = ask(pool, "eth_getBlockByNumber", "0xd", WHOLE)
    receipts = ask(pool, "eth_getBlockReceipts", "0xd")
    logs = ask(pool, "eth_getLogs", {"blockHash": block["hash"]})
    assert block["hash"] == "0x" + CHAIN.hash(13).hex()
    assert ask(pool, "eth_getBlockByHash", block["hash"], WHOLE) == block
    assert [receipt["transactionHash"] for receipt in receipts] == [tx["hash"] for tx in block["transactions"]]
    assert [log for receipt in receipts for log in receipt["logs"]] == logs
    assert logs == ask(pool, "eth_getLogs", {"fromBlock": "0xd", "toBlock": "0xd"})
    assert ask(pool, "eth_getTransactionByHash", block["transactions"][3]["hash"]) == block["transactions"][3]
    assert ask(pool, "eth_getTransactionReceipt", block["transactions"][3]["hash"]) == receipts[3]
    assert int(block["gasUsed"], 16) == int(receipts[-1]["cumulativeGasUsed"], 16)


def test_logs_are_filtered_by_address_and_topics(pool: RpcPool):
    """`eth_getLogs` returns exactly the logs that match its filter, with alternatives and wildcards."""
    every = ask(pool, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x40"})
    chosen = next(log for log in every if len(log["topics"]) == 3)
    topics = [None, [chosen["topics"][1], "0x" + "00" * 32]]
    found = ask(pool, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x40", "topics": topics})
    assert found == [log for log in every if log["topics"][1:2] and log["topics"][1] in topics[1]]
    by_address = {"fromBlock": "0x0", "toBlock": "0x40", "address": chosen["address"]}
    assert ask(pool, "eth_getLogs", by_address) == [log for log in every if log["address"] == chosen["address"]]


def test_the_code_of_a_created_contract_is_that_of_the_contracts_dataset(pool: RpcPool):
    """`eth_getCode` returns it from the block of the creation on, and nothing for the block before."""
    created = build(CHAIN, "contracts", range(1, 60)).select(["block_number", "contract_address", "code"]).to_pylist()
    assert len(created) > 10
    for row in created:
        address, number = "0x" + row["contract_address"].hex(), row["block_number"]
        assert ask(pool, "eth_getCode", address, hex(number)) == "0x" + row["code"].hex()
        assert ask(pool, "eth_getCode", address, hex(number - 1)) == "0x"


def test_tags_and_the_head(pool: RpcPool):
    """Tags resolve to head, finality and genesis; past the head there is no block, and logs are an error."""
    assert ask(pool, "eth_blockNumber") == hex(1000)
    assert ask(pool, "eth_getBlockByNumber", "latest", HASHES)["number"] == hex(1000)
    assert ask(pool, "eth_getBlockByNumber", "finalized", HASHES)["number"] == hex(936)
    assert ask(pool, "eth_getBlockByNumber", hex(1001), HASHES) is None
    past = {"id": 1, "method": "eth_getLogs", "params": [{"fromBlock": hex(1001), "toBlock": hex(1005)}]}
    assert post(pool.url, past)[1]["error"]["code"] == -32602
    pool.set_head(1001)
    assert ask(pool, "eth_getBlockByNumber", hex(1001), HASHES) is not None


def test_batches_and_unknown_methods(pool: RpcPool):
    """A batch is answered in order; an unknown method is error -32601 and is in the journal."""
    calls = [{"id": 1, "method": "eth_chainId"}, {"id": 2, "method": "eth_sendRawTransaction", "params": ["0x"]}]
    _, (known, unknown) = post(pool.url, calls)
    assert known == {"jsonrpc": "2.0", "id": 1, "result": "0x1"}
    assert unknown["error"]["code"] == -32601
    assert [call.method for call in pool.journal] == ["eth_chainId", "eth_sendRawTransaction"]


def test_node_quirks_have_their_errors():
    """A node without the finalized tag or without block receipts returns the errors of such nodes."""
    quirks = Quirks(no_finalized_tag=True, no_block_receipts=True)
    with RpcPool(Node(Chain(1, quirks=quirks))) as running:
        for method, params in (("eth_getBlockByNumber", ["finalized", False]), ("eth_getBlockReceipts", ["0x1"])):
            _, answer = post(running.url, {"id": 1, "method": method, "params": params})
            assert answer["error"]["code"] in {-32602, -32601}


def test_with_no_receipts_both_receipt_methods_are_unknown():
    """With `no_receipts` both methods are unknown, for blocks and for transactions."""
    chain = Chain(1, quirks=Quirks(no_receipts=True))
    with RpcPool(Node(chain)) as running:
        for method, asked in (("eth_getBlockReceipts", "0xd"), ("eth_getTransactionReceipt", "0x" + "00" * 32)):
            _, answer = post(running.url, {"id": 1, "method": method, "params": [asked]})
            assert answer["error"]["code"] == -32601


@pytest.mark.parametrize(("quirk", "more"), [("block_logs", 0), ("block_log_receipts", 1)])
def test_the_log_of_a_block_has_its_own_receipt_or_none(quirk: str, more: int):
    """`eth_getLogs` returns it by range and by hash; the block's receipts have one more, or do not contain it."""
    with RpcPool(Node(Chain(1, quirks=Quirks(**{quirk: True})))) as running:
        block = ask(running, "eth_getBlockByNumber", "0x14", HASHES)
        logs = ask(running, "eth_getLogs", {"blockHash": block["hash"]})
        receipts = ask(running, "eth_getBlockReceipts", "0x14")
        assert logs == ask(running, "eth_getLogs", {"fromBlock": "0x14", "toBlock": "0x14"})
        assert logs[-1]["transactionHash"] == logs[-1]["blockHash"] == block["hash"]
        assert len(receipts) == len(block["transactions"]) + more
        in_receipts = [log for receipt in receipts for log in receipt["logs"]]
        assert in_receipts == (logs if more else logs[:-1])
        assert ask(running, "eth_getTransactionReceipt", block["hash"]) is None


def test_a_hydrated_block_has_full_transactions_if_hashes_were_requested():
    """The quirk changes only the transactions of blocks, by number and by hash."""
    with RpcPool(Node(Chain(1, quirks=Quirks(hydrated_blocks=True)))) as running:
        block = ask(running, "eth_getBlockByNumber", "0xd", HASHES)
        assert block == ask(running, "eth_getBlockByNumber", "0xd", WHOLE)
        assert block == ask(running, "eth_getBlockByHash", block["hash"], HASHES)
        assert block["transactions"][0]["hash"]


@pytest.mark.parametrize(
    ("method", "parameters", "name"),
    [
        ("trace_block", [], "transactionHash"),
        ("debug_traceBlockByNumber", [{"tracer": "callTracer"}], "txHash"),
        ("eth_getLogs", None, "transactionHash"),
    ],
)
def test_the_items_of_one_transaction_can_be_omitted(pool: RpcPool, method: str, parameters: Any, name: str):
    """`without_transaction` removes all traces, calls or logs of that transaction, whatever the field of its hash."""
    criteria = {"fromBlock": "0xd", "toBlock": "0xd"}
    asked = [criteria] if parameters is None else ["0xd", *parameters]
    before = ask(pool, method, *asked)
    pool.add_faults(Items(without_transaction=1, method=method))
    hashes = list(dict.fromkeys(item[name] for item in before))
    assert ask(pool, method, *asked) == [item for item in before if item[name] != hashes[1]]


def test_each_endpoint_has_its_own_head_and_key():
    """Each endpoint of a pool has its own port, head and key, and the journal names the endpoint of a call."""
    nodes = (Node(CHAIN, name="a", head=10), Node(CHAIN, name="b", head=20, key="s3cret"))
    with RpcPool(nodes) as running:
        call = {"id": 1, "method": "eth_blockNumber"}
        assert post(running.urls[0], call)[1]["result"] == hex(10)
        assert post(running.urls[1], call)[0] == 401
        assert post(running.urls[1], call, path="/v3/s3cret")[1]["result"] == hex(20)
        assert [called.node for called in running.journal] == ["a", "b"]


def test_faults_apply_by_method_block_and_count(pool: RpcPool):
    """The second call for block 5 gets 503 once, every third call for the chain id an error; the journal has both."""
    unavailable = Status(503, "busy", method="eth_getBlockByNumber", block=5, nth=2, times=1)
    limited = Error(-32005, "rate limited", method="eth_chainId", nth=3, every=3)
    pool.add_faults(unavailable, limited)
    block = {"id": 1, "method": "eth_getBlockByNumber", "params": ["0x5", False]}
    parts = urlsplit(pool.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    statuses = []
    for _ in range(3):
        connection.request("POST", "/", json.dumps(block))
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()
    connection.close()
    assert statuses == [200, 503, 200]
    answers = [post(pool.url, {"id": 1, "method": "eth_chainId"})[1] for _ in range(6)]
    assert ["error" in answer for answer in answers] == [False, False, True] * 2
    assert [call.fault for call in pool.fired] == [unavailable, limited, limited]


def test_results_can_be_falsified(pool: RpcPool):
    """Null, another block, a shortened or reversed list and a malformed body are returned as scripted."""
    pool.add_faults(
        Result(None, method="eth_getBlockByNumber", block=1, times=1),
        OtherBlock(method="eth_getBlockByNumber", block=2),
        Items(first=3, reverse=True, method="eth_getBlockReceipts", block=13, times=1),
        Raw("{", method="web3_clientVersion"),
    )
    assert ask(pool, "eth_getBlockByNumber", "0x1", HASHES) is None
    assert ask(pool, "eth_getBlockByNumber", "0x2", HASHES)["number"] == "0x3"
    edited, true = ask(pool, "eth_getBlockReceipts", "0xd"), ask(pool, "eth_getBlockReceipts", "0xd")
    assert edited == true[:3][::-1]
    with pytest.raises(json.JSONDecodeError):
        ask(pool, "web3_clientVersion")


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Close(), http.client.RemoteDisconnected),
        (Reset(), ConnectionResetError),
        (Truncate(), http.client.IncompleteRead),
        (Stop(), ConnectionResetError),
    ],
)
def test_connections_break_as_scripted(action: object, error: type[Exception], pool: RpcPool):
    """The client sees a close, a reset, a truncated body or a node that dies; the pool then ends cleanly."""
    pool.add_faults(replace(action, method="eth_chainId", times=1))
    with pytest.raises(error):
        ask(pool, "eth_chainId")
    if isinstance(action, Stop):
        pool.vanish()  # returns when it has: until then a connection may still be taken, and reset
        with pytest.raises(ConnectionRefusedError):
            ask(pool, "eth_chainId")
    else:
        assert ask(pool, "eth_chainId") == "0x1"


def test_a_hang_lasts_until_the_pool_ends():
    """A call that hangs gets no response while others do, and is reset when the pool ends."""
    with RpcPool(Node(CHAIN), [Hang(method="eth_chainId", times=1)]) as running:
        outcome: list[type[BaseException]] = []

        def hang() -> None:
            try:
                ask(running, "eth_chainId")
            except OSError as error:
                outcome.append(type(error))

        thread = threading.Thread(target=hang)
        thread.start()
        while not running.fired:
            pass
        assert ask(running, "eth_chainId") == "0x1"
        assert thread.is_alive()
    thread.join()
    assert outcome == [ConnectionResetError]


def test_a_fault_can_be_read_from_json():
    """JSON objects are read as the classes that they name, and an unknown action is an error that names it."""
    fields = {"method": "eth_getLogs", "block": 5, "do": "status", "code": 429, "retry_after": "1"}
    assert read([fields]) == [Status(429, retry_after="1", method="eth_getLogs", block=5)]
    with pytest.raises(ValueError, match="'nonsense' found using 'do'"):
        read([{"do": "nonsense"}])


def test_a_pool_leaves_no_thread_and_no_open_port():
    """After a pool has ended, no thread of it runs and its port is closed."""
    with RpcPool(Node(CHAIN)) as running:
        ask(running, "eth_chainId")
        port = urlsplit(running.url).port
    running.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "harness-rpc"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_serve_rpc_prints_its_url_and_ends_on_sigterm():
    """`cryo-harness serve rpc` prints its URL first, serves the requested chain, and exits with 0 on SIGTERM."""
    command = [Path(sys.executable).parent / "cryo-harness", "serve", "rpc", "--chain-id", "5", "--head", "77"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert post(url, {"id": 1, "method": "eth_chainId"})[1]["result"] == "0x5"
        assert post(url, {"id": 1, "method": "eth_blockNumber"})[1]["result"] == hex(77)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_requests_are_counted_instead_of_calls():
    """With `counts` = `requests` a fault applies to the second request with a matching call, and to its whole batch."""
    fault = Status(503, method="eth_getBlockByNumber", nth=2, times=1, counts="requests")
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [hex(n), HASHES]} for n in range(3)
    ]
    with RpcPool(Node(CHAIN, head=1000), [fault]) as pool:
        assert ask(pool, "eth_chainId") == "0x1"
        assert [item["id"] for item in post(pool.url, batch)[1]] == [0, 1, 2]
        parts = urlsplit(pool.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request("POST", "/", json.dumps(batch))
        assert connection.getresponse().status == 503
        connection.close()
        assert [call.fault is not None for call in pool.journal] == [False] * 4 + [True] * 3
        assert [call.request for call in pool.journal] == [1, 2, 2, 2, 3, 3, 3]
        assert len({call.connection for call in pool.journal}) == 3
