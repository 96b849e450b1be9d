"""With each scripted fault real Cryo behaves as `real-cryo-0.3.2.md` describes (sections 0 and 4)."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault
from harness.faults import rpc as do
from harness.world.chain import Chain
from harness.world.quirks import Quirks

BIN = Path(sys.executable).parent
CHAIN = Chain(1)
BUSY = next(number for number in range(100, 128) if len(CHAIN.transactions(number)) >= 5)
BLOCKS, RECEIPTS, LOGS = "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"

pytestmark = [
    pytest.mark.real_cryo,
    pytest.mark.skipif(find_spec("cryo") is None, reason="this interpreter has no wheel of Cryo 0.3.2"),
]


def extract(dataset: str, faults: list[RpcFault], folder: Path, *, chain: Chain = CHAIN, words: str = ""):
    """Run real Cryo on blocks 90 to 149 in chunks of 20; return the process, the pool and the tables by first block."""
    command = [BIN / "cryo-from-wheel", dataset, "-b", "90:150", "-c", "20", "-o", folder, *words.split()]
    with RpcPool(Node(chain, head=500), faults) as pool:
        environment = os.environ | {"ETH_RPC_URL": pool.url}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert all(any(call.fault is fault for call in pool.fired) for fault in faults)
    tables = {int(path.stem[-20:-12]): pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}
    return ended, pool, tables


FATAL_TO_A_CHUNK = {
    "429": do.Status(429),
    "429 with Retry-After": do.Status(429, retry_after="1"),
    "500": do.Status(500),
    "503 with an empty body": do.Status(503, body=""),
    "-32000": do.Error(-32000, "missing trie node"),
    "-32603": do.Error(-32603, "internal error"),
    "-32029": do.Error(-32029, "rate limited"),
    "-32601": do.Error(-32601, "no such method"),
    "malformed JSON": do.Raw('{"jsonrpc":"2.0","id":1,"resu'),
    "reset": do.Reset(),
    "close": do.Close(),
    "truncated body": do.Truncate(),
    "null block": do.Result(None),
    "id null": do.Envelope({"id": None}),
    "id of a string": do.Envelope({"id": "1"}),
    "unknown key in the envelope": do.Envelope({"extra": 1}),
    "timestamp past 32 bits": do.Fields({"timestamp": "0x100000000"}),
    "number past 32 bits": do.Fields({"number": "0x100000000"}),
}


@pytest.mark.parametrize("name", FATAL_TO_A_CHUNK)
def test_one_bad_answer_fails_its_chunk_and_no_other(name: str, tmp_path: Path):
    """The call is not retried, the exit code is 1, and only the bad chunk has no file."""
    fault = replace(FATAL_TO_A_CHUNK[name], method=BLOCKS, block=BUSY, times=1)
    ended, pool, tables = extract("blocks", [fault], tmp_path)
    assert ended.returncode == 1
    assert sorted(tables) == sorted({90, 110, 130} - {90 + (BUSY - 90) // 20 * 20})
    assert sum(call.blocks == (BUSY, BUSY) for call in pool.journal) == 1


RETRIED = {
    "-32005": do.Error(-32005, "limit exceeded"),
    "429 in the envelope": do.Error(429, "too many requests"),
    "-32016 with the words": do.Error(-32016, "rate limit exceeded"),
    "header not found": do.Error(-32000, "header not found"),
    "-32005 with id null": do.Error(-32005, "limit exceeded", null_id=True),
    "-32005 with a backoff": do.Error(-32005, "limit", data={"rate": {"backoff_seconds": 1.0}}),
}


@pytest.mark.parametrize("name", RETRIED)
def test_rate_limits_in_the_envelope_are_retried(name: str, tmp_path: Path):
    """The call is repeated, and the extraction is complete."""
    fault = replace(RETRIED[name], method=BLOCKS, block=BUSY, times=1)
    ended, pool, tables = extract("blocks", [fault], tmp_path, words="--initial-backoff 5")
    assert ended.returncode == 0
    assert sum(table.num_rows for table in tables.values()) == 60
    assert sum(call.blocks == (BUSY, BUSY) for call in pool.journal) == 2


TOLERATED = {
    "500 with a valid result": do.Status(500, with_result=True),
    "404 with a valid result": do.Status(404, with_result=True),
    "another id": do.Envelope({"id": 99_999}),
    "delay": do.Delay(0.2),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_some_malformed_responses_are_accepted(name: str, tmp_path: Path):
    """Cryo checks neither the status nor the id."""
    ended, _, tables = extract("blocks", [replace(TOLERATED[name], method=BLOCKS, block=BUSY, times=1)], tmp_path)
    assert ended.returncode == 0
    assert sum(table.num_rows for table in tables.values()) == 60


def in_transactions(*drop: str, **values: str) -> do.Fields:
    """Change every transaction of a full block."""
    return do.Fields(values, drop=drop, within="transactions")


@pytest.mark.parametrize(
    "action",
    [
        *(pytest.param(in_transactions(name), id=f"without {name}") for name in ("v", "r", "s", "gas", "nonce")),
        *(pytest.param(in_transactions(name), id=f"without {name}") for name in ("input", "value")),
        pytest.param(in_transactions(gasPrice="0x10000000000000000"), id="gas price past 64 bits"),
    ],
)
def test_a_transaction_that_cannot_be_parsed_fails_its_chunk(action: do.Fields, tmp_path: Path):
    """Section 4: a full block whose transactions lack one of these fields fails its chunk and no other."""
    ended, _, tables = extract("transactions", [replace(action, method=BLOCKS, block=BUSY)], tmp_path)
    assert ended.returncode == 1
    assert sorted(tables) == sorted({90, 110, 130} - {90 + (BUSY - 90) // 20 * 20})


@pytest.mark.parametrize("name", ["from", "gasPrice", "chainId"])
def test_a_transaction_without_these_is_accepted(name: str, tmp_path: Path):
    """Section 4: a missing `from`, `gasPrice` or `chainId` loses no row, exit 0."""
    ended, _, tables = extract("transactions", [replace(in_transactions(name), method=BLOCKS, block=BUSY)], tmp_path)
    assert (ended.returncode, len(rows_of(tables, BUSY))) == (0, len(CHAIN.transactions(BUSY)))


@pytest.mark.parametrize("kind", ["0x3", "0x4", "0x7e", "0x1ff"])
def test_a_transaction_of_any_type_is_accepted(kind: str, tmp_path: Path):
    """Section 4: unknown types are accepted if all fields are present."""
    ended, _, tables = extract(
        "transactions", [replace(in_transactions(type=kind), method=BLOCKS, block=BUSY)], tmp_path
    )
    assert (ended.returncode, len(rows_of(tables, BUSY))) == (0, len(CHAIN.transactions(BUSY)))


@pytest.mark.parametrize(("dataset", "method"), [("logs", LOGS), ("traces", "trace_block")])
def test_null_logs_and_traces_fail_their_chunk(dataset: str, method: str, tmp_path: Path):
    """Section 4: null instead of a list can't be parsed, so the chunk has no file."""
    ended, _, tables = extract(dataset, [do.Result(None, method=method, block=BUSY)], tmp_path)
    assert ended.returncode == 1
    assert sorted(tables) == sorted({90, 110, 130} - {90 + (BUSY - 90) // 20 * 20})


def test_a_trace_with_gas_past_32_bits_panics_its_chunk(tmp_path: Path):
    """Section 4: the chunk has no file, the exit code is 1."""
    someone = "0x" + "11" * 20
    call = {"callType": "call", "from": someone, "to": someone, "input": "0x", "value": "0x0", "gas": "0x100000000"}
    fault = do.Fields({"type": "call", "action": call}, method="trace_block", block=BUSY)
    ended, _, tables = extract("traces", [fault], tmp_path)
    assert ended.returncode == 1
    assert len(tables) == 2


def test_a_missing_receipt_of_a_transaction_fails_the_chunk(tmp_path: Path):
    """Section 4: in the fallback a null receipt fails the chunk."""
    faults = [do.Result(None, method=RECEIPTS, block=BUSY), do.Result(None, method="eth_getTransactionReceipt")]
    ended, _, tables = extract("transactions", faults, tmp_path)
    assert ended.returncode == 1
    assert "could not find tx receipt" in ended.stdout
    assert len(tables) == 2


FULL = 'mount -t tmpfs -o size=16k none "$0" && cd "$0" && "$@"; code=$?; ls "$0"; exit $code'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("program", ["cryo-from-wheel", "fake-cryo"])
def test_a_full_disk_leaves_a_temporary_file_and_exit_1(program: str, tmp_path: Path):
    """Section 4: ENOSPC fails the chunk and leaves a `_tmp` file. Fake Cryo does the same on a full disk."""
    with RpcPool(Node(CHAIN, head=500)) as pool:
        words = [BIN / program, "blocks", "-b", "0:400", "--no-report"]
        ended = subprocess.run(
            ["unshare", "--mount", "sh", "-c", FULL, tmp_path, *words],
            env=os.environ | {"ETH_RPC_URL": pool.url},
            capture_output=True,
            text=True,
            check=False,
        )
    left = ended.stdout.split()[-1]
    assert ended.returncode == 1
    assert left.endswith("_tmp"), ended.stdout


def rows_of(tables: dict[int, Any], number: int) -> list[dict[str, Any]]:
    """Return one block's rows."""
    return [row for table in tables.values() for row in table.to_pylist() if row["block_number"] == number]


@pytest.mark.parametrize(("first", "left"), [(0, 0), (3, 3)])
def test_short_receipts_drop_transactions_with_exit_0(first: int, left: int, tmp_path: Path):
    """Surprise 1: receipts are zipped with transactions, so transactions without one are lost."""
    ended, _, tables = extract("transactions", [do.Items(first=first, method=RECEIPTS, block=BUSY)], tmp_path)
    assert (ended.returncode, len(rows_of(tables, BUSY))) == (0, left)


def test_reordered_receipts_give_transactions_the_wrong_outcome(tmp_path: Path):
    """Surprise 1: with reversed receipts each transaction has the gas of another one, exit 0."""
    ended, _, tables = extract("transactions", [do.Items(reverse=True, method=RECEIPTS, block=BUSY)], tmp_path)
    gas = [row["gas_used"] for row in rows_of(tables, BUSY)]
    assert (ended.returncode, gas) == (0, [tx.gas_used for tx in CHAIN.transactions(BUSY)][::-1])


@pytest.mark.parametrize("action", [do.Error(-32601, "no such method"), do.Result(None), do.Error(-32000, "busy")])
def test_without_block_receipts_each_receipt_is_requested_by_hash(action: Any, tmp_path: Path):
    """After an error or null for a block's receipts there is one call per transaction."""
    ended, pool, tables = extract("transactions", [replace(action, method=RECEIPTS, block=BUSY)], tmp_path)
    expected = len(CHAIN.transactions(BUSY))
    assert (ended.returncode, len(rows_of(tables, BUSY))) == (0, expected)
    assert pool.calls("eth_getTransactionReceipt") == expected


def test_a_node_without_block_receipts_works_with_the_fallback(tmp_path: Path):
    """With the quirk `no_block_receipts` there is one call per transaction and no other difference."""
    chain = Chain(1, quirks=Quirks(no_block_receipts=True))
    ended, pool, tables = extract("transactions", [], tmp_path, chain=chain)
    assert ended.returncode == 0
    assert pool.calls("eth_getTransactionReceipt") == sum(table.num_rows for table in tables.values())


def test_another_block_than_requested_is_accepted(tmp_path: Path):
    """Surprise 2: the wrong block occurs twice and the requested one is missing, exit 0."""
    ended, _, tables = extract("blocks", [do.OtherBlock(1, method=BLOCKS, block=100)], tmp_path)
    assert (ended.returncode, len(rows_of(tables, 100)), len(rows_of(tables, 101))) == (0, 0, 2)


def test_an_empty_block_object_is_accepted(tmp_path: Path):
    """Surprise 3: `{}` gives a row of nulls and zeros, exit 0."""
    ended, _, tables = extract("blocks", [do.Result({}, method=BLOCKS, block=100)], tmp_path)
    (row,) = rows_of(tables, None)
    assert (ended.returncode, row["block_hash"], row["timestamp"], row["gas_used"]) == (0, None, 0, 0)


LOST_LOGS = {
    "none": (do.Result([]), 0),
    "without an index": (do.Fields(drop=("logIndex",)), 0),
    "every second missing": (do.Items(without_every=2), None),
    "removed ones kept": (do.Fields({"removed": True}), -1),
}


@pytest.mark.parametrize("name", LOST_LOGS)
def test_logs_are_lost_or_kept_without_an_error(name: str, tmp_path: Path):
    """Surprises 4 and 5: `[]` means no logs, logs without a block are skipped, removed ones are kept; exit 0."""
    number = next(number for number in range(100, 128) if len(list(CHAIN.logs(number))) >= 4)
    action, left = LOST_LOGS[name]
    ended, _, tables = extract("logs", [replace(action, method=LOGS, block=number)], tmp_path)
    whole = len(list(CHAIN.logs(number)))
    expected = {None: whole - whole // 2, -1: whole}.get(left, left)
    assert (ended.returncode, len(rows_of(tables, number))) == (0, expected)


def test_logs_of_another_block_are_kept(tmp_path: Path):
    """Surprise 5: logs of another block are accepted with the block number that they have."""
    action = do.Fields({"blockNumber": "0x1869f"})
    ended, _, tables = extract("logs", [replace(action, method=LOGS, block=109)], tmp_path)
    assert (ended.returncode, len(rows_of(tables, 99_999))) == (0, len(list(CHAIN.logs(109))))


def test_a_wrong_chain_id_is_accepted(tmp_path: Path):
    """Surprise 8: file names and the column have the chain id that the node reports."""
    ended, _, tables = extract("blocks", [do.Result("0x89", method="eth_chainId")], tmp_path)
    assert ended.returncode == 0
    assert {value for table in tables.values() for value in table["chain_id"].to_pylist()} == {137}
    assert all(path.name.startswith("polygon__") for path in tmp_path.glob("*.parquet"))


def test_a_reorg_between_two_calls_is_not_detected(tmp_path: Path):
    """The file has blocks from before and after a reorg, whose hashes do not link, exit 0."""
    reorg = do.Reorg(at=100, method=BLOCKS, block=120, times=1)
    ended, _, tables = extract("blocks", [reorg], tmp_path, words="--max-concurrent-chunks 1 -i parent_hash")
    rows = [row for number in range(90, 150) for row in rows_of(tables, number)]
    broken = [old["block_number"] for old, new in itertools.pairwise(rows) if old["block_hash"] != new["parent_hash"]]
    assert ended.returncode == 0
    assert len(rows) == 60
    assert broken


def test_a_stale_head_shortens_an_open_range(tmp_path: Path):
    """`latest` is the head that the node reports."""
    with RpcPool(Node(CHAIN, head=500), [do.Result("0x64", method="eth_blockNumber")]) as pool:
        command = [BIN / "cryo-from-wheel", "blocks", "-b", "90:latest", "-o", tmp_path]
        assert (
            subprocess.run(
                command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, stdout=subprocess.DEVNULL
            ).returncode
            == 0
        )
    assert [path.stem[-8:] for path in tmp_path.glob("*.parquet")] == ["00000100"]


def test_a_range_too_large_is_not_split(tmp_path: Path):
    """A provider's limit on the range of `eth_getLogs` fails the chunk after its retries."""
    with RpcPool(Node(CHAIN, head=500, max_log_range=10)) as pool:
        words = "logs -b 90:150 --inner-request-size 20 --max-retries 1 --initial-backoff 5"
        command = [BIN / "cryo-from-wheel", *words.split(), "-o", tmp_path]
        ended = subprocess.run(
            command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, stdout=subprocess.DEVNULL
        )
    assert ended.returncode == 1
    assert not list(tmp_path.glob("*.parquet"))


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], RpcPool]]:
    """Real Cryo while one of its calls hangs."""
    with RpcPool(Node(CHAIN, head=500), [do.Hang(method=BLOCKS, block=95)]) as pool:
        command = [BIN / "cryo-from-wheel", "blocks", "-b", "90:150", "-c", "20", "-o", tmp_path]
        process = subprocess.Popen(command, env=os.environ | {"ETH_RPC_URL": pool.url}, stdout=subprocess.DEVNULL)
        try:
            yield process, pool
        finally:
            process.kill()
            process.wait()


def test_a_hang_blocks_its_chunk_while_the_others_are_written(
    hanging: tuple[subprocess.Popen[bytes], RpcPool], tmp_path: Path
):
    """Surprise 12: Cryo has no timeout; SIGTERM ends it; the incomplete report and complete files remain."""
    process, _ = hanging
    while len(list(tmp_path.glob("*.parquet"))) < 2:
        assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=20) == -15
    assert not list(tmp_path.glob("*00000090*"))
    (report,) = (tmp_path / ".cryo" / "reports").iterdir()
    assert report.name.startswith("incomplete_")


def test_a_refused_connection_is_tried_four_times(tmp_path: Path):
    """Without a node Cryo fails before extraction, or fails every remaining chunk."""
    with RpcPool(Node(CHAIN, head=500), [do.Stop(method=BLOCKS, nth=5, times=1)]) as pool:
        command = [BIN / "cryo-from-wheel", "blocks", "-b", "90:150", "-c", "20", "-o", tmp_path]
        ended = subprocess.run(
            command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, capture_output=True, text=True
        )
        assert ended.returncode == 1
        assert "error sending request" in ended.stdout
    again = subprocess.run(command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, capture_output=True)
    assert again.returncode == 1
    assert not list(tmp_path.glob("*.parquet"))
