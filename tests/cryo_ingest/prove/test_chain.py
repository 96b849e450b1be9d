"""Levels `chain` and `receipts` on files of the deterministic chain: what must pass, what must fail, in what words."""

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
from support.proving import judge_tables, settings_of, task_of, true_tables

from cryo_ingest.errors import ProofFailed, WrongChain
from cryo_ingest.levels import Level
from cryo_ingest.ports import FileProof
from cryo_ingest.rpc.results import BadAnswer, parse_header, parse_logs, parse_receipts
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


def judge(
    dataset: str,
    folder: Path,
    *faults: RpcFault,
    level: Level = "chain",
    chain: Chain = CHAIN,
    tables: list[pa.Table] | None = None,
) -> tuple[list[FileProof], RpcPool]:
    """Judge a dataset's true tables, or others, by a node with some faults."""
    task = task_of(dataset, START, END)
    with RpcPool(Node(chain, head=10_000), faults) as pool:
        settings = settings_of(pool.url, level)
        return judge_tables(task, settings, tables or true_tables(chain, task), folder), pool


@pytest.mark.parametrize("quirk", [None, *QUIRKS])
@pytest.mark.parametrize("level", ["chain", "receipts"])
def test_rng_4_honest_files_pass_with_every_quirk(quirk: str | None, level: Level, tmp_path: Path):
    """RNG-4: what real chains do to blooms, log indexes, tags and receipts refuses nobody."""
    chain = Chain(1, seed=7, quirks=Quirks(**({quirk: True} if quirk else {})))
    for dataset in BY_CHAIN:
        if quirk == "no_receipts" and level == "receipts" and dataset in BY_RECEIPTS:
            with pytest.raises(ProofFailed, match="the node has no receipts"):
                judge(dataset, tmp_path, level=level, chain=chain)
            continue
        (proof,), _ = judge(dataset, tmp_path, level=level, chain=chain)
        by_receipts = level == "receipts" and dataset in BY_RECEIPTS
        assert proof.evidence == ("receipts" if by_receipts else "chain")
        assert proof.details["blocks"] == str(END - START) or dataset == "blocks"


def test_rng_4_the_state_datasets_are_proved_by_rows_and_say_so(tmp_path: Path):
    """RNG-4: a header shows nothing of them; the node is not asked for any block."""
    (proof,), pool = judge("balance_diffs", tmp_path)
    assert (proof.evidence, dict(proof.details), pool.journal) == ("rows", {}, [])


def test_rng_4_what_a_proof_costs(tmp_path: Path):
    """Docs, proof.md: a call a block, two with receipts; for `blocks` its ends and a sample; one for the chain."""
    costs = {(name, level): len(judge(name, tmp_path, level=level)[1].journal) for name in BY_CHAIN for level in LEVELS}
    blocks = END - START
    assert costs["blocks", "chain"] <= 30 + 2 + 3
    for name in ("transactions", "logs", "traces", "geth_calls"):
        assert costs[name, "chain"] == blocks + 3
    for name in ("transactions", "logs", "erc20_transfers", "erc721_transfers"):
        assert costs[name, "receipts"] == 2 * blocks + 3


LEVELS: list[Level] = ["chain", "receipts"]


def without(table: pa.Table, number: int, place: int = 0) -> pa.Table:
    """Drop one row of a block."""
    numbers = table["block_number"].to_pylist()
    rows = [index for index, found in enumerate(numbers) if found == number]
    return table.take([index for index in range(table.num_rows) if index != rows[place]])


def altered(table: pa.Table, column: str, number: int, value: Any) -> pa.Table:
    """Set a column of a block's first row."""
    values = table[column].to_pylist()
    values[table["block_number"].to_pylist().index(number)] = value
    return table.set_column(
        table.schema.get_field_index(column),
        table.schema.field(column),
        pa.array(values, table.schema.field(column).type),
    )


def neighbours(table: pa.Table, dataset: str) -> pa.Table:
    """Give a block its neighbour's rows."""
    other = build(CHAIN, dataset, [BUSY + 1])
    place, field = table.schema.get_field_index("block_number"), table.schema.field("block_number")
    moved = other.set_column(place, field, pa.array([BUSY] * other.num_rows, field.type))
    return pa.concat_tables([emptied(table), moved])


def emptied(table: pa.Table) -> pa.Table:
    """Drop all rows of a block."""
    return table.filter(pc.not_equal(table["block_number"], BUSY))


def doubled(table: pa.Table) -> pa.Table:
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
    """Turn a transaction's success round."""
    first = table["success"][table["block_number"].to_pylist().index(BUSY)].as_py()
    return altered(table, "success", BUSY, not first)


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "hash at an end": lambda table: altered(table, "block_hash", START, bytes(32)),
    "gas at an end": lambda table: altered(table, "gas_used", END - 1, 1),
    "a block without rows": emptied,
    "a row less": lambda table: without(table, BUSY),
    "the last row less": lambda table: without(table, BUSY, -1),
    "a row twice": doubled,
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
    "transactions: the last row less": "chain",
    "transactions: another hash": "chain",
    "transactions: the neighbour's rows": "chain",
    "transactions: other gas": "receipts",
    "transactions: other success": "receipts",
    "logs: a block without rows": "chain",
    "logs: a row less": "chain",
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
"""What is wrong with a file, and the level that must show it; docs/proof.md says the same in words."""


@pytest.mark.parametrize("name", DETECTED)
def test_rng_4_what_is_wrong_is_found_at_the_level_that_the_table_names(name: str, tmp_path: Path):
    """RNG-4, OUT-4: retryable, with block and evidence named, and that the node said it twice."""
    dataset, first = name.partition(": ")[0], DETECTED[name]
    change = name.partition(": ")[2]
    (true,) = true_tables(CHAIN, task_of(dataset, START, END))
    table = neighbours(true, dataset) if change == "the neighbour's rows" else CHANGES[change](true)
    for level in LEVELS:
        if LEVELS.index(level) < LEVELS.index(first):
            judge(dataset, tmp_path, level=level, tables=[table])
            continue
        with pytest.raises(ProofFailed, match=r"blocks? \d+.*: .*The same node gave the same answer twice") as caught:
            judge(dataset, tmp_path, level=level, tables=[table])
        assert caught.value.outcome == "retryable_error"
        assert "endpoint 1 of 1" in str(caught.value)


def test_rng_4_blocks_are_linked_across_files(tmp_path: Path):
    """RNG-4: a node that is on another branch for the second file is noticed at the border."""
    task = task_of("blocks", 0, 2000)
    switch = do.Fields({"parentHash": "0x" + "00" * 32}, method=BLOCK, block=1000)
    with (
        RpcPool(Node(CHAIN, head=10_000), [switch]) as pool,
        pytest.raises(ProofFailed, match="block 1000 is not the child"),
    ):
        judge_tables(task, settings_of(pool.url), true_tables(CHAIN, task), tmp_path)


@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("action", [do.OtherBlock(1), do.Result({}), do.Result(None), do.Fields({"hash": "0x1"})])
def test_rng_4_a_node_that_errs_once_is_asked_again(action: do.Action, times: int | None, tmp_path: Path):
    """RNG-4: one bad answer costs a second question; the same bad answer twice is a failed proof."""
    fault = replace(action, method=BLOCK, block=BUSY, times=times)
    if times:
        (proof,), _ = judge("transactions", tmp_path, fault)
        assert proof.details["resolved"] == "1"
    else:
        with pytest.raises(ProofFailed, match=f"block {BUSY}"):
            judge("transactions", tmp_path, fault)


def test_rng_4_a_node_that_changes_its_mind_is_told_so(tmp_path: Path):
    """OUT-4: two different answers, neither of which fits."""
    faults = [
        do.Fields({"transactions": []}, method=BLOCK, block=BUSY, times=1),
        do.Fields({"transactions": ["0x" + "11" * 32]}, method=BLOCK, block=BUSY, nth=2),
    ]
    with pytest.raises(ProofFailed, match="gave another answer the second time"):
        judge("transactions", tmp_path, *faults)


def test_rng_4_receipts_in_another_order_are_evidence_all_the_same(tmp_path: Path):
    """RNG-4: they are tied to transactions by hash; that is what Cryo's zip does not do."""
    (proof,), _ = judge("transactions", tmp_path, do.Items(reverse=True, method=RECEIPTS), level="receipts")
    assert proof.evidence == "receipts"


def test_rng_4_an_endpoint_that_turns_into_another_chain_is_fatal(tmp_path: Path):
    """RNG-4: the chain id is constant throughout."""
    with pytest.raises(WrongChain):
        judge("logs", tmp_path, do.Result("0x89", method="eth_chainId", nth=2))


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
def test_rng_4_nothing_but_bad_answer_comes_out_of_evidence(value: Any):
    """Whatever a node says is evidence or BadAnswer."""
    header = parse_header(TRUE_HEADER, 5)
    for parse in (
        lambda: parse_header(value, 5),
        lambda: parse_logs(value, header),
        lambda: parse_receipts(value, header),
    ):
        with suppress(BadAnswer):
            parse()


TRUE_HEADER = {
    "number": "0x5",
    "hash": "0x" + "22" * 32,
    "parentHash": "0x" + "21" * 32,
    "transactions": ["0x" + "33" * 32],
    "gasUsed": "0x5208",
    "logsBloom": None,
}
