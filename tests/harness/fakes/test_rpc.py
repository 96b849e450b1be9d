"""The fake endpoint: what a node answers, what it refuses, and faults by script."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.rpc.faults import Fault
from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.world.chain import Chain

BIN = Path(sys.executable).parent
NODE = Node(Chain(1), head=500)


def post(url: str, content: Any) -> Any:
    """Post JSON and return the JSON of the answer."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def call(url: str, method: str, *params: Any) -> Any:
    """Make one call and return the whole answer."""
    return post(url, {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})


def test_a_node_answers_singly_and_in_batches_on_any_path():
    """Ids come back, a batch is answered in order, a key in the path is nobody's business."""
    with RpcPool(NODE) as pool:
        url = f"{pool.url}/v2/some-key"
        assert call(url, "eth_chainId") == {"jsonrpc": "2.0", "id": 7, "result": "0x1"}
        batch = [{"jsonrpc": "2.0", "id": i, "method": "eth_blockNumber", "params": []} for i in range(3)]
        assert [(answer["id"], answer["result"]) for answer in post(url, batch)] == [(i, "0x1f4") for i in range(3)]


def test_blocks_receipts_and_logs_agree_with_each_other():
    """What one method says of a block, the others say too."""
    with RpcPool(NODE) as pool:
        block = call(pool.url, "eth_getBlockByNumber", "0x64", True)["result"]
        receipts = call(pool.url, "eth_getBlockReceipts", "0x64")["result"]
        logs = call(pool.url, "eth_getLogs", {"fromBlock": "0x64", "toBlock": "0x64"})["result"]
        hashes = call(pool.url, "eth_getBlockByNumber", "0x64")["result"]["transactions"]
        single = call(pool.url, "eth_getTransactionReceipt", hashes[3])["result"]
    assert [transaction["hash"] for transaction in block["transactions"]] == hashes
    assert [receipt["transactionHash"] for receipt in receipts] == hashes
    assert [log for receipt in receipts for log in receipt["logs"]] == logs
    assert [int(log["logIndex"], 16) for log in logs] == list(range(len(logs)))
    assert receipts[-1]["cumulativeGasUsed"] == block["gasUsed"]
    assert single == receipts[3]


@pytest.mark.parametrize(
    ("tag", "number"), [("earliest", 0), ("latest", 500), ("finalized", 436), ("safe", 436), ("0x1f4", 500)]
)
def test_tags_name_blocks(tag: str, number: int):
    """The head is a parameter, finality 64 blocks behind it."""
    with RpcPool(NODE) as pool:
        assert call(pool.url, "eth_getBlockByNumber", tag, False)["result"]["number"] == hex(number)


def test_what_is_past_the_head_is_null_or_an_error_as_nodes_have_it():
    """A block past the head is null; logs past it are an invalid range."""
    with RpcPool(NODE) as pool:
        assert call(pool.url, "eth_getBlockByNumber", "0x1f5", True)["result"] is None
        assert call(pool.url, "eth_getBlockReceipts", "0x1f5")["result"] is None
        past = call(pool.url, "eth_getLogs", {"fromBlock": "0x1f4", "toBlock": "0x1f5"})
        assert past["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_syncing", [], -32601),
        ("eth_getBlockByNumber", ["0x01"], -32602),
        ("eth_getBlockByNumber", [1], -32602),
        ("eth_getBlockByNumber", [], -32602),
        ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x1", "address": "0x"}], -32602),
    ],
)
def test_what_is_not_modelled_is_an_error_that_names_it(method: str, params: list[Any], code: int):
    """Never a plausible default."""
    with RpcPool(NODE) as pool:
        assert call(pool.url, method, *params)["error"]["code"] == code


def test_faults_fire_by_count_and_are_in_the_journal():
    """The second call about block 1 is answered 503, every third chain id is an error, and the journal says which."""
    unavailable = Fault("eth_getBlockByNumber", "status", 503, block=1, every=2, times=1)
    limited = Fault("eth_chainId", "error", -32005, "limit exceeded", every=3)
    with RpcPool(NODE, [unavailable, limited]) as pool:
        assert "result" in call(pool.url, "eth_getBlockByNumber", "0x1", False)
        assert "result" in call(pool.url, "eth_getBlockByNumber", "0x2", False)
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            call(pool.url, "eth_getBlockByNumber", "0x1", False)
        caught.value.close()
        assert all("result" in call(pool.url, "eth_getBlockByNumber", "0x1", False) for _ in range(3))
        assert [("error" in call(pool.url, "eth_chainId")) for _ in range(6)] == [False, False, True] * 2
        assert [seen.fault for seen in pool.journal if seen.fault] == [unavailable, limited, limited]


def test_serve_rpc_prints_its_url_first_and_ends_on_sigterm():
    """`cryo-harness serve rpc` is a fake that anyone can start by hand."""
    words = [BIN / "cryo-harness", "serve", "rpc", "--chain-id", "10", "--head", "9"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert call(url, "eth_chainId")["result"] == "0xa"
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
