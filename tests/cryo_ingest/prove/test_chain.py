"""Levels `chain` and `receipts` on files of the deterministic chain: which files pass, which fail, and why."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.proving import prove_tables, settings_of, task_of, true_tables

from cryo_ingest.errors import ProofFailed, WrongChain
from cryo_ingest.levels import Level
from cryo_ingest.ports import FileProof
from cryo_ingest.rpc.results import UnusableResult, parse_header, parse_logs, parse_receipts
from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault
from harness.faults import rpc as do
from harness.world.chain import Chain
from harness.world.quirks import Quirks
from harness.world.tables import build

CHAIN = Chain(1)
START, END = 96, 296
BUSY = next(number for number in range(100, 128) if len(list(CHAIN.logs(number))) >= 4)
BLOCK, RECEIPTS, LOGS = "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"
BY_CHAIN = ["blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces", "geth_calls"]
BY_RECEIPTS = {"transactions", "logs", "erc20_transfers", "erc721_transfers"}
QUIRKS = list(Quirks.__slots__)


def prove(
    dataset: str,
    folder: Path,
    *faults: RpcFault,
    level: Level = "chain",
    chain: Chain = CHAIN,
    tables: list[pa.Table] | None = None,
) -> tuple[list[FileProof], RpcPool]:
    """Prove a dataset's true tables, or others, with a node that has some faults."""
    task = task_of(dataset, START, END)
    with RpcPool(Node(chain, head=10_000), faults) as pool:
        settings = settings_of(pool.url, level)
        return prove_tables(task, settings, tables or true_tables(chain, task), folder), pool


@pytest.mark.parametrize("quirk", [None, *QUIRKS])
@pytest.mark.parametrize("level", ["chain", "receipts"])
def test_rng_4_correct_files_pass_with_every_quirk(quirk: str | None, level: Level, tmp_path: Path):
    """RNG-4: the quirks of real chains in blooms, log indexes, tags and receipts do not make correct files fail."""
    chain = Chain(1, seed=7, quirks=Quirks(**({quirk: True} if quirk else {})))
    for dataset in BY_CHAIN:
        if quirk == "no_receipts" and level == "receipts" and dataset in BY_RECEIPTS:
            with pytest.raises(ProofFailed, match="the node has no receipts"):
                prove(dataset, tmp_path, level=level, chain=chain)
            continue
        (proof,), _ = prove(dataset, tmp_path, level=level, chain=chain)
        by_receipts = level == "receipts" and dataset in BY_RECEIPTS
        assert proof.evidence == ("receipts" if by_receipts else "chain")
        assert proof.details["blocks"] == str(END - START) or dataset == "blocks"


def test_rng_4_the_state_datasets_are_proved_by_rows_only(tmp_path: Path):
    """RNG-4: headers have no state, so no block is requested."""
    (proof,), pool = prove("balance_diffs", tmp_path)
    assert (proof.evidence, dict(proof.details), pool.journal) == ("rows", {}, [])


def test_rng_4_the_number_of_calls_for_a_proof(tmp_path: Path):
    """Docs, proof.md: one call for each block, two with receipts; for `blocks` a sample; one for the chain id."""
    costs = {(name, level): len(prove(name, tmp_path, level=level)[1].journal) for name in BY_CHAIN for level in LEVELS}
    blocks = END - START
    assert costs["blocks", "chain"] <= 30 + 2 + 3
    for name in ("transactions", "logs", "traces", "geth_calls"):
        assert costs[name, "chain"] == blocks + 3
    for name in ("transactions", "logs", "erc20_transfers", "erc721_transfers"):
        assert costs[name, "receipts"] == 2 * blocks + 3


LEVELS: list[Level] = ["chain", "receipts"]


def without(table: pa.Table, number: int, position: int = 0) -> pa.Table:
    """Drop one row of a block."""
    numbers = table["block_number"].to_pylist()
    rows = [index for index, found in enumerate(numbers) if found == number]
    return table.take([index for index in range(table.num_rows) if index != rows[position]])


def altered(table: pa.Table, column: str, number: int, value: Any) -> pa.Table:
    """Set a column of a block's first row."""
    values = table[column].to_pylist()
    values[table["block_number"].to_pylist().index(number)] = value
    return table.set_column(
        table.schema.get_field_index(column),
        table.schema.field(column),
        pa.array(values, table.schema.field(column).type),
    )


def neighbour_rows(table: pa.Table, dataset: str) -> pa.Table:
    """Give a block the rows of the next block."""
    other = build(CHAIN, dataset, [BUSY + 1])
    index, field = table.schema.get_field_index("block_number"), table.schema.field("block_number")
    moved = other.set_column(index, field, pa.array([BUSY] * other.num_rows, field.type))
    return pa.concat_tables([emptied(table), moved])


def emptied(table: pa.Table) -> pa.Table:
    """Drop all rows of a block."""
    return table.filter(pc.not_equal(table["block_number"], BUSY))


def repeated(table: pa.Table) -> pa.Table:
    """Add a block's first row once more."""
    return pa.concat_tables([table, table.slice(table["block_number"].to_pylist().index(BUSY), 1)])


def first_block(table: pa.Table) -> int:
    """Return the block of the first row."""
    number: int = table["block_number"][0].as_py()
    return number


def without_a_transaction(table: pa.Table) -> pa.Table:
    """Drop all rows of a block's last transaction."""
    last = max(
        index
        for number, index in zip(*map(table.column, ("block_number", "transaction_index")), strict=True)
        if number.as_py() == BUSY and index.as_py() is not None
        for index in [index.as_py()]
    )
    keep = pc.or_kleene(pc.not_equal(table["block_number"], BUSY), pc.not_equal(table["transaction_index"], last))
    return table.filter(keep)


def other_success(table: pa.Table) -> pa.Table:
    """Invert a transaction's success."""
    first = table["success"][table["block_number"].to_pylist().index(BUSY)].as_py()
    return altered(table, "success", BUSY, not first)


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "hash at an end": lambda table: altered(table, "block_hash", START, bytes(32)),
    "gas at an end": lambda table: altered(table, "gas_used", END - 1, 1),
    "a block without rows": emptied,
    "a missing row": lambda table: without(table, BUSY),
    "the last row missing": lambda table: without(table, BUSY, -1),
    "a row twice": repeated,
    "another hash": lambda table: altered(table, "transaction_hash", first_block(table), bytes(32)),
    "other data": lambda table: altered(table, "data", BUSY, b"other"),
    "another amount": lambda table: altered(table, "value_binary", first_block(table), b"\1" * 32),
    "a transaction without rows": without_a_transaction,
    "other gas": lambda table: altered(table, "gas_used", BUSY, 1),
    "other success": other_success,
}


DETECTED = {
    "blocks: hash at an end": "chain",
    "blocks: gas at an end": "chain",
    "transactions: a block without rows": "chain",
    "transactions: the last row missing": "chain",
    "transactions: another hash": "chain",
    "transactions: the neighbour's rows": "chain",
    "transactions: other gas": "receipts",
    "transactions: other success": "receipts",
    "logs: a block without rows": "chain",
    "logs: a missing row": "chain",
    "logs: a row twice": "chain",
    "logs: another hash": "chain",
    "logs: the neighbour's rows": "chain",
    "logs: other data": "receipts",
    "erc20_transfers: a block without rows": "chain",
    "erc20_transfers: another hash": "chain",
    "erc20_transfers: another amount": "receipts",
    "erc721_transfers: another hash": "chain",
    "traces: a block without rows": "chain",
    "traces: another hash": "chain",
    "traces: a transaction without rows": "chain",
    "geth_calls: a block without rows": "chain",
    "geth_calls: a transaction without rows": "chain",
}
"""What is wrong with a file, and the lowest level that must detect it; docs/proof.md has the same table."""


@pytest.mark.parametrize("name", DETECTED)
def test_rng_4_wrong_rows_are_detected_at_the_level_in_the_table(name: str, tmp_path: Path):
    """RNG-4, OUT-4: the error is retryable and names block, evidence and endpoint."""
    dataset, first = name.partition(": ")[0], DETECTED[name]
    change = name.partition(": ")[2]
    (true,) = true_tables(CHAIN, task_of(dataset, START, END))
    table = neighbour_rows(true, dataset) if change == "the neighbour's rows" else CHANGES[change](true)
    for level in LEVELS:
        if LEVELS.index(level) < LEVELS.index(first):
            prove(dataset, tmp_path, level=level, tables=[table])
            continue
        with pytest.raises(ProofFailed, match=r"blocks? \d+.*: .*The same node gave the same answer twice") as caught:
            prove(dataset, tmp_path, level=level, tables=[table])
        assert caught.value.outcome == "retryable_error"
        assert "endpoint 1 of 1" in str(caught.value)


def test_rng_4_blocks_are_linked_across_files(tmp_path: Path):
    """RNG-4: a node that is on another branch for the second file is detected at its first block."""
    task = task_of("blocks", 0, 2000)
    switch = do.Fields({"parentHash": "0x" + "00" * 32}, method=BLOCK, block=1000)
    with (
        RpcPool(Node(CHAIN, head=10_000), [switch]) as pool,
        pytest.raises(ProofFailed, match="block 1000 is not the child"),
    ):
        prove_tables(task, settings_of(pool.url), true_tables(CHAIN, task), tmp_path)


@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("action", [do.OtherBlock(1), do.Result({}), do.Result(None), do.Fields({"hash": "0x1"})])
def test_rng_4_a_mismatch_is_requested_a_second_time(action: do.Action, times: int | None, tmp_path: Path):
    """RNG-4: one bad answer costs a second request; two bad answers fail the proof."""
    fault = replace(action, method=BLOCK, block=BUSY, times=times)
    if times:
        (proof,), _ = prove("transactions", tmp_path, fault)
        assert proof.details["resolved"] == "1"
    else:
        with pytest.raises(ProofFailed, match=f"block {BUSY}"):
            prove("transactions", tmp_path, fault)


def test_rng_4_two_different_bad_answers_are_reported(tmp_path: Path):
    """OUT-4: the message says that the second answer differed from the first."""
    faults = [
        do.Fields({"transactions": []}, method=BLOCK, block=BUSY, times=1),
        do.Fields({"transactions": ["0x" + "11" * 32]}, method=BLOCK, block=BUSY, nth=2),
    ]
    with pytest.raises(ProofFailed, match="gave another answer the second time"):
        prove("transactions", tmp_path, *faults)


def test_rng_4_receipts_in_another_order_are_evidence(tmp_path: Path):
    """RNG-4: receipts are matched with transactions by hash, unlike in Cryo, which matches them by position."""
    (proof,), _ = prove("transactions", tmp_path, do.Items(reverse=True, method=RECEIPTS), level="receipts")
    assert proof.evidence == "receipts"


def test_rng_4_an_endpoint_that_switches_to_another_chain_is_fatal(tmp_path: Path):
    """RNG-4: the chain id is checked again after the extraction."""
    with pytest.raises(WrongChain):
        prove("logs", tmp_path, do.Result("0x89", method="eth_chainId", nth=2))


FIELDS = ["number", "hash", "parentHash", "transactions", "gasUsed", "logsBloom", "blockHash", "logs", "topics"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.binary(max_size=34).map(lambda b: "0x" + b.hex())
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)


@given(JSON)
def test_rng_4_any_answer_is_evidence_or_unusable(value: Any):
    """Any answer of a node is parsed or raises UnusableResult."""
    header = parse_header(TRUE_HEADER, 5)
    for parse in (
        lambda: parse_header(value, 5),
        lambda: parse_logs(value, header),
        lambda: parse_receipts(value, header),
    ):
        with suppress(UnusableResult):
            parse()


TRUE_HEADER = {
    "number": "0x5",
    "hash": "0x" + "22" * 32,
    "parentHash": "0x" + "21" * 32,
    "transactions": ["0x" + "33" * 32],
    "gasUsed": "0x5208",
    "logsBloom": None,
}
