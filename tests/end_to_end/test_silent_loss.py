"""Rows that Cryo loses although it exits with 0: each loss is detected at the level that docs/proof.md has.

Without the gateway, the node spoils the answers that Cryo takes its rows from, once, and tells our own client the
truth. Each case also runs at the level below, where it goes unseen: nothing is claimed that is not. Through the
gateway, each case runs with one wrong answer and with an answer that is always wrong.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.worker import CHAIN_ID, PAYLOAD, Target, Worker, events, real_mode

from harness.fakes.rpc import Node, RpcPool
from harness.faults import rpc as do
from harness.world.chain import LATE_START, Chain
from harness.world.content import facts_of, oracle
from harness.world.quirks import Quirks
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
    """What is done to real Cryo's answers, and the first level that shows it; None for none.

    `once` and `always` say what becomes of it through the gateway, at level `chain`: the loss is cured, refused, or not
    detected. A range is complete if Cryo asks in another way for what the gateway refuses.
    """

    dataset: str
    method: str
    action: do.Action
    shown_at: str | None
    times: int | None = 1
    once: str = "cured"
    always: str = "refused"


REAL = {
    "the node returns no receipts for a block": Loss(
        "transactions", "eth_getBlockReceipts", do.Items(first=0), "chain", always="complete"
    ),
    "the node returns only the first three receipts of a block": Loss(
        "transactions", "eth_getBlockReceipts", do.Items(first=3), "chain", always="complete"
    ),
    "the node returns the receipts of a block in reverse order": Loss(
        "transactions", "eth_getBlockReceipts", do.Items(reverse=True), "receipts", always="complete"
    ),
    "the node returns another block": Loss("blocks", "eth_getBlockByNumber", do.OtherBlock(1), "rows", times=None),
    "the node returns another block with its transactions": Loss(
        "transactions", "eth_getBlockByNumber", do.OtherBlock(1), "rows", times=None
    ),
    "the node returns an empty object instead of a block": Loss(
        "blocks", "eth_getBlockByNumber", do.Result({}), "rows", times=None
    ),
    "the node returns no logs for a block": Loss("logs", "eth_getLogs", do.Result([]), "chain"),
    "the node returns logs without `logIndex`": Loss("logs", "eth_getLogs", do.Fields(drop=("logIndex",)), "chain"),
    "the node leaves out every second log of a block": Loss("logs", "eth_getLogs", do.Items(without_every=2), "chain"),
    "the node returns logs with the number of another block": Loss(
        "logs", "eth_getLogs", do.Fields({"blockNumber": "0x2bc"}), "chain"
    ),
    "the node returns no transfers for a block": Loss("erc20_transfers", "eth_getLogs", do.Result([]), "chain"),
    "the node leaves out every second transfer of a block": Loss(
        "erc20_transfers",
        "eth_getLogs",
        do.Items(without_every=2),
        "receipts",
        once="not detected",
        always="not detected",
    ),
    "the node returns no state changes for a block": Loss(
        "balance_diffs", "trace_replayBlockTransactions", do.Result([]), None
    ),
    "the node returns no traces for a block": Loss("traces", "trace_block", do.Result([]), "chain"),
    "the node returns no calls for a block": Loss("geth_calls", "debug_traceBlockByNumber", do.Result([]), "chain"),
}

FAKE: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "every 50th transaction is missing": ("transactions", {"do": "omit_rows", "chunk": 0, "every": 50}, "rows"),
    "every 50th log is missing": ("logs", {"do": "omit_rows", "chunk": 0, "every": 50}, "chain"),
    "every 500th trace is missing": ("traces", {"do": "omit_rows", "chunk": 0, "every": 500}, None),
    "a block has the transactions of the next one": (
        "transactions",
        {"do": "replace_block", "block": BUSY, "by": BUSY + 1},
        "rows",
    ),
    "every 50th balance change is missing": ("balance_diffs", {"do": "omit_rows", "chunk": 0, "every": 50}, None),
}


def levels_to_run(shown_at: str | None) -> list[str]:
    """Return the level below the one that shows a loss, and that one; for none, the highest."""
    if shown_at is None:
        return ["receipts"]
    place = LEVELS.index(shown_at)
    return LEVELS[max(0, place - 1) : place + 1]


def judge(worker: Worker, target: Target, payload: dict[str, Any], variables: dict[str, str]) -> tuple[str, str]:
    """Run one attempt; return the error's name or «published», and the log. What is refused leaves nothing behind."""
    result = worker.run(target, payload, **variables)
    if result.returncode == 0:
        return "published", result.stderr
    assert (result.returncode, result.stdout, target.contents()) == (75, "", {})
    assert list(worker.staging.iterdir()) == []
    failed = events(result.stderr)[-1]
    assert variables["TRACE_COVERAGE"] == "rows" or re.search(r"block \d+: .*twice", failed["message"])
    return str(failed["error"]), result.stderr


def is_complete(target: Target, dataset: str) -> bool:
    """Return whether what is published of blocks 500 to 799 is the chain's."""
    ((name, expected),) = oracle(CHAIN, dataset, 500, 800).items()
    (content,) = (content for key, content in target.contents().items() if key.endswith(name))
    return bool(facts_of(content)["digest"] == expected["digest"])


def run_with(loss: Loss, folder: Path, times: int | None, level: str, **more: str) -> tuple[str, str, Target]:
    """Run real Cryo on a node with the loss; return how it ended, the log, and where it published."""
    worker = Worker(folder)
    target = Target(f"file://{folder}/out", {}, directory=folder / "out")
    fault = replace(loss.action, method=loss.method, block=BUSY, times=times)
    payload = PAYLOAD | {"cryo_dataset_name": loss.dataset, "range_end": 800}
    with RpcPool(Node(CHAIN, head=1_000_000), [fault]) as pool:
        variables = real_mode(pool.url) | {"TRACE_CRYO_BIN": "cryo-from-wheel", "TRACE_COVERAGE": level} | more
        ended, text = judge(worker, target, payload, variables)
        assert pool.fired
    return ended, text, target


@pytest.mark.real_cryo
@pytest.mark.parametrize("name", REAL)
def test_rng_4_a_loss_of_real_cryo_is_shown_where_the_table_says(name: str, tmp_path: Path):
    """RNG-4, OUT-4, PUB-3: nothing of it is published at that level, and one level below it goes unseen."""
    loss = REAL[name]
    for level in levels_to_run(loss.shown_at):
        (tmp_path / level).mkdir()
        ended, _, _ = run_with(loss, tmp_path / level, loss.times, level, TRACE_CRYO_GATEWAY="off")
        shown = loss.shown_at is not None and LEVELS.index(level) >= LEVELS.index(loss.shown_at)
        assert ended == ("ProofFailed" if shown else "published"), level


@pytest.mark.real_cryo
@pytest.mark.parametrize("name", REAL)
def test_rng_4_the_gateway_cures_a_loss_if_the_node_answers_rightly_the_second_time(name: str, tmp_path: Path):
    """RNG-4, RPC-1: the published rows are the chain's, and the log counts the cure."""
    loss = REAL[name]
    ended, text, target = run_with(loss, tmp_path, 1, "chain", TRACE_CRYO_LOG_RANGE="1")
    assert ended == "published"
    (closed,) = (event for event in events(text) if event["event"] == "gateway.closed")
    assert bool(closed.get("cured")) == (loss.once == "cured")
    assert is_complete(target, loss.dataset) == (loss.once == "cured")


@pytest.mark.real_cryo
@pytest.mark.parametrize("name", REAL)
def test_rng_4_the_gateway_publishes_nothing_wrong_of_a_node_that_is_always_wrong(name: str, tmp_path: Path):
    """RNG-4, OUT-4, PUB-3: the attempt is refused, unless Cryo gets the rows from other answers."""
    loss = REAL[name]
    ended, _, target = run_with(loss, tmp_path, None, "chain", TRACE_CRYO_LOG_RANGE="1")
    if loss.always == "refused":
        assert ended in {"ProofFailed", "AnswerRefused"}
    else:
        assert ended == "published"
        assert is_complete(target, loss.dataset) == (loss.always == "complete")


@pytest.mark.real_cryo
def test_rng_4_lost_logs_of_a_range_of_blocks_are_cured_block_by_block(tmp_path: Path):
    """RNG-4: one wrong answer about a hundred blocks."""
    loss = REAL["the node leaves out every second log of a block"]
    ended, text, target = run_with(loss, tmp_path, 1, "chain")
    assert ended == "published"
    (closed,) = (event for event in events(text) if event["event"] == "gateway.closed")
    assert closed["cured"]["missing-logs"] > 1
    assert is_complete(target, loss.dataset)


@pytest.mark.parametrize("name", FAKE)
def test_rng_4_a_loss_of_fake_cryo_is_shown_where_the_table_says(name: str, tmp_path: Path):
    """RNG-4: the fake's own acts, which no answer of the node shows, on Linux of any Python."""
    dataset, act, shown_at = FAKE[name]
    payload = PAYLOAD | {"cryo_dataset_name": dataset, "range_end": 1500}
    for level in levels_to_run(shown_at):
        (tmp_path / level).mkdir()
        worker = Worker(tmp_path / level)
        target = Target(f"file://{tmp_path}/{level}/out", {}, directory=tmp_path / level / "out")
        with RpcPool(Node(CHAIN, head=1_000_000, script={"faults": [act]})) as pool:
            variables = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo", "TRACE_COVERAGE": level}
            ended, _ = judge(worker, target, payload, variables)
        shown = shown_at is not None and LEVELS.index(level) >= LEVELS.index(shown_at)
        assert ended == ("ProofFailed" if shown else "published"), level


def test_rng_4_the_document_says_of_each_loss_where_it_is_shown():
    """Docs, proof.md: the table of losses is this file's."""
    row = r"^\| ([^|]+?) \| [^|]+? \| (rows|chain|receipts|not detected) \| ([^|]*?) ?\| ([^|]*?) ?\|"
    said = {name: rest for name, *rest in re.findall(row, DOCUMENT, re.MULTILINE)}
    real = {name: [loss.shown_at or "not detected", loss.once, loss.always] for name, loss in REAL.items()}
    assert said == real | {name: [shown_at or "not detected", "", ""] for name, (_, _, shown_at) in FAKE.items()}


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
    act = {"do": "omit_rows", "chunk": 1, "every": 50}
    with RpcPool(Node(CHAIN, head=1_000_000, script={"faults": [act]})) as pool:
        mode = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"}
        assert worker.run(moto_target, payload, TRACE_COVERAGE="rows", **mode).returncode == 0
    before = moto_target.contents()
    with RpcPool(Node(CHAIN, head=1_000_000)) as pool:
        again = worker.run(moto_target, payload, **real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"})
    assert again.returncode == 0, again.stderr
    changed = {key for key, content in moto_target.contents().items() if before[key] != content}
    assert [key.rpartition("__")[2] for key in changed] == ["00001500_to_00002499.parquet"]


BY_LOGS = ["logs", "erc20_transfers", "erc721_transfers"]
EDGE = 650


def run_at(folder: Path, pool: RpcPool, dataset: str, **fields: Any) -> tuple[str, dict[str, bytes], str]:
    """Run one attempt with real Cryo at the default level; return how it ended, what is stored and the message."""
    worker, target = Worker(folder), Target(f"file://{folder}/out", {}, directory=folder / "out")
    payload = PAYLOAD | {"cryo_dataset_name": dataset, "range_end": 800} | fields
    result = worker.run(target, payload, **real_mode(pool.url) | {"TRACE_CRYO_BIN": "cryo-from-wheel"})
    if result.returncode == 0:
        return "published", target.contents(), ""
    assert (result.returncode, result.stdout, target.contents()) == (75, "", {}), result.stderr
    failed = events(result.stderr)[-1]
    return str(failed["error"]), {}, str(failed["message"])


def blocks_in(message: str) -> list[int]:
    """Return the blocks that a message names, which are some."""
    lists = re.findall(r"blocks? ((?:\d+, )*\d+)", message)
    assert lists, message
    return [int(number) for numbers in lists for number in numbers.split(", ")]


@pytest.mark.real_cryo
@pytest.mark.parametrize("receipts", ["null", "empty", "error"])
def test_rng_4_nothing_that_a_pruned_node_has_lost_is_published(receipts: Any, tmp_path: Path):
    """RNG-4, OUT-4: eth_getLogs answers [] below a block, and receipts are missing in one of three ways.

    The other datasets are scenarios: `pruned-erc20-transfers` and `pruned-erc721-transfers`.
    """
    with RpcPool(Node(CHAIN, head=1_000_000), [do.Pruned(EDGE, receipts)]) as pool:
        ended, _, message = run_at(tmp_path, pool, "logs")
        assert pool.fired
    assert ended == "ProofFailed"
    assert "the node has no receipts for them" in message
    assert all(500 <= number < EDGE for number in blocks_in(message))


@pytest.mark.real_cryo
@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("eth_getLogs", do.Lagging(EDGE)),
        ("eth_getLogs", do.Lagging(EDGE, unknown_hash="error")),
        (None, do.Pruned(EDGE)),
        (None, do.Pruned(EDGE, "empty")),
    ],
)
def test_rng_4_what_one_member_of_a_pool_does_not_have_is_not_published_without_it(
    method: str | None, member: do.Member, tmp_path: Path
):
    """RNG-4: every second call meets a member that lags or has pruned; the published data is complete, or none is.

    Every third call and other datasets are scenarios: `lagging-member-real-cryo`, `lagging-member`, `pruned-member`.
    """
    dataset = "logs"
    with RpcPool(Node(CHAIN, head=1_000_000), [replace(member, method=method, nth=2, every=2)]) as pool:
        ended, stored, _ = run_at(tmp_path, pool, dataset)
        assert pool.fired
    assert ended in {"ProofFailed", "RangeIncomplete", "NodeUnavailable", "published"}
    if ended == "published":
        ((name, expected),) = oracle(CHAIN, dataset, 500, 800).items()
        (content,) = (content for key, content in stored.items() if key.endswith(name))
        assert facts_of(content)["digest"] == expected["digest"]


@pytest.mark.real_cryo
def test_rng_4_a_file_without_rows_does_not_confirm_another_one(tmp_path: Path):
    """RNG-4: the first chunk has no logs, those of the second are pruned; both files are empty and equal."""
    chain = Chain(CHAIN_ID, quirks=Quirks(late_start=True))
    with RpcPool(Node(chain, head=1_000_000), [do.Pruned(5_000)]) as pool:
        ended, _, message = run_at(tmp_path, pool, "logs", range_end=1700)
    assert ended == "ProofFailed"
    assert min(blocks_in(message)) >= LATE_START


@pytest.mark.real_cryo
@pytest.mark.parametrize(("dataset", "method"), [("traces", "trace_block"), ("geth_calls", "debug_traceBlockByNumber")])
def test_rng_4_a_transaction_without_any_trace_is_shown(dataset: str, method: str, tmp_path: Path):
    """RNG-4: the header lists the transaction, so its traces must be there, though the block has others."""
    fault = do.Items(without_transaction=1, method=method, block=BUSY)
    with RpcPool(Node(CHAIN, head=1_000_000), [fault]) as pool:
        ended, _, message = run_at(tmp_path, pool, dataset)
        assert pool.fired
    assert ended in {"ProofFailed", "AnswerRefused"}
    assert f"block {BUSY}:" in message
