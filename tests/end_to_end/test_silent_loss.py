"""Loss that Cryo hides behind exit 0 (real-cryo-0.3.2.md, section 0): caught at the level that docs/proof.md names.

The node spoils the answers that Cryo takes its rows from, once, and tells our own client the truth: a node that lies to
both in the same way is what no level shows. Each case also runs at the level below, where it goes unseen: nothing is
claimed that is not.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.worker import CHAIN_ID, PAYLOAD, Target, Worker, events, real_mode

from harness.fakes.rpc import Fault, Node, RpcPool
from harness.faults import actions as do
from harness.world.chain import Chain
from harness.world.tables.transfers import erc20_rows

CHAIN = Chain(CHAIN_ID)
BUSY = next(
    number
    for number in range(600, 700)
    if len(CHAIN.transactions(number)) >= 5
    and len(CHAIN.transactions(number + 1)) >= 2
    and len(list(erc20_rows(CHAIN, number))) >= 4
)
LEVELS = ["rows", "chain", "receipts"]
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "proof.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Loss:
    """What is done to real Cryo's answers, and the first level that shows it; None for none."""

    dataset: str
    method: str
    action: do.Action
    shown_at: str | None
    times: int | None = 1


REAL = {
    "1 no receipts": Loss("transactions", "eth_getBlockReceipts", do.Items(first=0), "chain"),
    "1 three receipts": Loss("transactions", "eth_getBlockReceipts", do.Items(first=3), "chain"),
    "1 receipts reversed": Loss("transactions", "eth_getBlockReceipts", do.Items(reverse=True), "receipts"),
    "2 another block": Loss("blocks", "eth_getBlockByNumber", do.OtherBlock(1), "rows", times=None),
    "2 another block's transactions": Loss(
        "transactions", "eth_getBlockByNumber", do.OtherBlock(1), "rows", times=None
    ),
    "3 an empty block": Loss("blocks", "eth_getBlockByNumber", do.Result({}), "rows", times=None),
    "4 no logs": Loss("logs", "eth_getLogs", do.Result([]), "chain"),
    "5 logs without an index": Loss("logs", "eth_getLogs", do.Fields(drop=("logIndex",)), "chain"),
    "5 every second log": Loss("logs", "eth_getLogs", do.Items(without_every=2), "chain"),
    "5 logs of another block": Loss("logs", "eth_getLogs", do.Fields({"blockNumber": "0x2bc"}), "chain"),
    "4 no transfers": Loss("erc20_transfers", "eth_getLogs", do.Result([]), "chain"),
    "5 every second transfer": Loss("erc20_transfers", "eth_getLogs", do.Items(without_every=2), "receipts"),
    "7 no state": Loss("balance_diffs", "trace_replayBlockTransactions", do.Result([]), None),
    "no traces": Loss("traces", "trace_block", do.Result([]), "chain"),
    "no calls": Loss("geth_calls", "debug_traceBlockByNumber", do.Result([]), "chain"),
}

FAKE: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "every 50th transaction": ("transactions", {"act": "omit_rows", "chunk": 0, "every": 50}, "rows"),
    "every 50th log": ("logs", {"act": "omit_rows", "chunk": 0, "every": 50}, "chain"),
    "every 500th trace": ("traces", {"act": "omit_rows", "chunk": 0, "every": 500}, None),
    "a block's transactions replaced": (
        "transactions",
        {"act": "replace_block", "block": BUSY, "by": BUSY + 1},
        "rows",
    ),
    "every 50th diff": ("balance_diffs", {"act": "omit_rows", "chunk": 0, "every": 50}, None),
}


def levels_to_run(shown_at: str | None) -> list[str]:
    """Return the level below the one that shows a loss, and that one; for none, the highest."""
    if shown_at is None:
        return ["receipts"]
    place = LEVELS.index(shown_at)
    return LEVELS[max(0, place - 1) : place + 1]


def judge(worker: Worker, target: Target, payload: dict[str, Any], pool: RpcPool, *, level: str, cryo: str) -> str:
    """Run one attempt and return the error's name, or «published»; what is refused leaves nothing behind."""
    pool_of = real_mode(pool.url) | {"TRACE_CRYO_BIN": cryo, "TRACE_COVERAGE": level}
    result = worker.run(target, payload, **pool_of)
    if result.returncode == 0:
        return "published"
    assert (result.returncode, result.stdout, target.contents()) == (75, "", {})
    assert list(worker.staging.iterdir()) == []
    failed = events(result.stderr)[-1]
    assert level == "rows" or re.search(r"block \d+: .*twice", failed["message"])
    return str(failed["error"])


@pytest.mark.real_cryo
@pytest.mark.parametrize("name", REAL)
def test_rng_4_a_loss_of_real_cryo_is_shown_where_the_table_says(name: str, tmp_path: Path):
    """RNG-4, OUT-4, PUB-3: nothing of it is published at that level, and one level below it goes unseen."""
    loss = REAL[name]
    payload = PAYLOAD | {"cryo_dataset_name": loss.dataset, "range_end": 800}
    for level in levels_to_run(loss.shown_at):
        (tmp_path / level).mkdir()
        worker = Worker(tmp_path / level)
        target = Target(f"file://{tmp_path}/{level}/out", {}, directory=tmp_path / level / "out")
        fault = Fault(loss.method, loss.action, block=BUSY, times=loss.times)
        with RpcPool(Node(CHAIN, head=1_000_000), [fault]) as pool:
            ended = judge(worker, target, payload, pool, level=level, cryo="cryo-from-wheel")
            assert pool.struck
        shown = loss.shown_at is not None and LEVELS.index(level) >= LEVELS.index(loss.shown_at)
        assert ended == ("ProofFailed" if shown else "published"), level


@pytest.mark.parametrize("name", FAKE)
def test_rng_4_a_loss_of_fake_cryo_is_shown_where_the_table_says(name: str, tmp_path: Path):
    """RNG-4: the fake's own acts, which no answer of the node shows, on Linux of any Python."""
    dataset, act, shown_at = FAKE[name]
    payload = PAYLOAD | {"cryo_dataset_name": dataset, "range_end": 1500}
    for level in levels_to_run(shown_at):
        (tmp_path / level).mkdir()
        worker = Worker(tmp_path / level)
        target = Target(f"file://{tmp_path}/{level}/out", {}, directory=tmp_path / level / "out")
        with RpcPool(Node(CHAIN, head=1_000_000, script={"acts": [act]})) as pool:
            ended = judge(worker, target, payload, pool, level=level, cryo="fake-cryo")
        shown = shown_at is not None and LEVELS.index(level) >= LEVELS.index(shown_at)
        assert ended == ("ProofFailed" if shown else "published"), level


def test_rng_4_the_document_says_of_each_loss_where_it_is_shown():
    """Docs, proof.md: the table of losses is this file's."""
    said = dict(re.findall(r"^\| ([^|]+?) \| [^|]+? \| (rows|chain|receipts|not shown) \|", DOCUMENT, re.MULTILINE))
    expected = {name: loss.shown_at for name, loss in REAL.items()} | {name: row[2] for name, row in FAKE.items()}
    assert said == {name: level or "not shown" for name, level in expected.items()}


def test_rng_4_evidence_that_is_too_low_is_proved_again_before_it_is_published(
    moto_target: Target, worker: Worker, pool: RpcPool
):
    """LAY-8, LAY-10: a version proved by rows stands; at level chain its bytes are asked about again, without Cryo."""
    payload = PAYLOAD | {"cryo_dataset_name": "logs"}
    mode = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"}
    assert worker.run(moto_target, payload, TRACE_COVERAGE="rows", **mode).returncode == 0
    before, asked = moto_target.contents(), pool.calls("eth_getBlockByNumber")
    again = worker.run(moto_target, payload, **mode)
    assert again.returncode == 0, again.stderr
    assert "cryo.started" not in again.stderr
    assert pool.calls("eth_getBlockByNumber") >= asked + 2200
    assert moto_target.contents() == before


def test_rng_4_evidence_that_is_recorded_high_enough_costs_no_call(moto_target: Target, worker: Worker, pool: RpcPool):
    """LAY-10: once the bytes match, what was proved of them counts; the endpoint is not even chosen."""
    payload = PAYLOAD | {"cryo_dataset_name": "logs"}
    mode = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"}
    first = worker.run(moto_target, payload, **mode)
    assert first.returncode == 0, first.stderr
    asked = len(pool.journal)
    again = worker.run(moto_target, payload, **mode)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert len(pool.journal) == asked
    assert moto_target.bucket is not None
    for key in moto_target.contents():
        if key.endswith(".parquet"):
            metadata = moto_target.bucket.metadata(key)
            assert (metadata["evidence"], len(metadata["evidence-digest"])) == ("chain", 64)
            assert int(metadata["evidence-blocks"]) > 0


def test_rng_4_stored_rows_that_the_node_contradicts_give_way(moto_target: Target, worker: Worker):
    """LAY-10: proved by rows with logs missing; at level chain they are not whole, and Cryo's new ones replace them."""
    payload = PAYLOAD | {"cryo_dataset_name": "logs"}
    act = {"act": "omit_rows", "chunk": 1, "every": 50}
    with RpcPool(Node(CHAIN, head=1_000_000, script={"acts": [act]})) as pool:
        mode = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"}
        assert worker.run(moto_target, payload, TRACE_COVERAGE="rows", **mode).returncode == 0
    before = moto_target.contents()
    with RpcPool(Node(CHAIN, head=1_000_000)) as pool:
        again = worker.run(moto_target, payload, **real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"})
    assert again.returncode == 0, again.stderr
    changed = {key for key, content in moto_target.contents().items() if before[key] != content}
    assert [key.rpartition("__")[2] for key in changed] == ["00001500_to_00002499.parquet"]
