"""Suspect blocks are resolved by receipts, or by logs that match the header's bloom, never by unverified logs."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.proving import JumpingClock, prove_tables, settings_of, task_of, true_tables

from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import ProofFailed
from cryo_ingest.layout import chunks
from cryo_ingest.ports import FileProof
from cryo_ingest.prove.level import make_prover
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.endpoint import open_endpoint
from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault
from harness.faults import rpc as do
from harness.world.chain import Chain
from harness.world.quirks import Quirks

CHAIN = Chain(1)
START, END = 96, 196
RECEIPTS, RECEIPT, LOGS = "eth_getBlockReceipts", "eth_getTransactionReceipt", "eth_getLogs"
NO_BLOOM = "0x" + "00" * 256

PRUNED_RECEIPTS: dict[str, list[RpcFault]] = {
    "null": [do.Result(None, method=RECEIPTS), do.Result(None, method=RECEIPT)],
    "an empty list": [do.Result([], method=RECEIPTS), do.Result(None, method=RECEIPT)],
    "an error": [do.Error(4444, "pruned history unavailable", method=RECEIPTS), do.Result(None, method=RECEIPT)],
    "no such method": [do.Error(-32601, "method not found", method=RECEIPTS), do.Result(None, method=RECEIPT)],
    "an error in words": [
        do.Error(-32000, "receipts for this block are not available on this node (pruned)", method=RECEIPTS),
        do.Error(-32000, "historical receipts are not available on this node (pruned)", method=RECEIPT),
    ],
    "some of them": [do.Items(first=1, method=RECEIPTS), do.Result(None, method=RECEIPT)],
    "without logs": [do.Fields({"logs": []}, method=RECEIPTS), do.Fields({"logs": []}, method=RECEIPT)],
    "without logs and bloom": [do.Fields({"logs": [], "logsBloom": NO_BLOOM}, method=RECEIPTS)],
}
"""Answers of a node that has deleted receipts, or their logs."""

NO_LOGS = do.Result([], method=LOGS)
NO_METHODS = [do.Error(-32601, "the method does not exist", method=name) for name in (RECEIPTS, RECEIPT)]


def prove(
    dataset: str, folder: Path, *faults: RpcFault, chain: Chain = CHAIN, tables: list[pa.Table] | None = None
) -> FileProof:
    """Prove one file at level `chain` with a node that has some faults."""
    task = task_of(dataset, START, END)
    with RpcPool(Node(chain, head=10_000), faults) as pool:
        (proof,) = prove_tables(task, settings_of(pool.url, "chain"), tables or true_tables(chain, task), folder)
    return proof


def emptied(dataset: str, below: int = END, chain: Chain = CHAIN) -> list[pa.Table]:
    """Return the table without the rows of the blocks below `below`."""
    (table,) = true_tables(chain, task_of(dataset, START, END))
    return [table.filter(pc.greater_equal(table["block_number"], below))]


@pytest.mark.parametrize("form", PRUNED_RECEIPTS)
@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers", "erc721_transfers"])
@pytest.mark.parametrize("below", [(START + END) // 2, END])
def test_rng_4_a_node_without_receipts_does_not_confirm_missing_rows(
    dataset: str, form: str, below: int, tmp_path: Path
):
    """RNG-4: an empty eth_getLogs, by range and by hash, is not evidence: the error is retryable."""
    with pytest.raises(ProofFailed, match=r"blocks? \d+") as caught:
        prove(dataset, tmp_path, *PRUNED_RECEIPTS[form], NO_LOGS, tables=emptied(dataset, below))
    assert caught.value.outcome == "retryable_error"
    if form != "without logs and bloom":
        assert "the node has no receipts for" in str(caught.value)


@pytest.mark.parametrize("form", [form for form in PRUNED_RECEIPTS if form != "without logs and bloom"])
@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers", "erc721_transfers"])
def test_rng_4_logs_that_match_the_bloom_are_evidence_without_receipts(dataset: str, form: str, tmp_path: Path):
    """RNG-4: without receipts, eth_getLogs by hash counts if its logs' bloom equals the header's."""
    chain = Chain(1, quirks=Quirks(restarting_log_index=True))
    assert prove(dataset, tmp_path, *PRUNED_RECEIPTS[form], chain=chain).evidence == "chain"
    with pytest.raises(ProofFailed, match="eth_getLogs"):
        prove(dataset, tmp_path, *PRUNED_RECEIPTS[form], chain=chain, tables=emptied(dataset, chain=chain))


@pytest.mark.parametrize("quirk", ["zero_bloom", "full_bloom"])
def test_rng_4_a_chain_without_evidence_gives_level_rows(quirk: str, tmp_path: Path):
    """RNG-4: with useless blooms and no method for receipts, rows that equal eth_getLogs pass as proved by rows."""
    chain = Chain(1, quirks=Quirks(**{quirk: True}))
    assert prove("logs", tmp_path, *NO_METHODS, chain=chain).evidence == "rows"
    with pytest.raises(ProofFailed, match="eth_getLogs"):
        prove("logs", tmp_path, *NO_METHODS, chain=chain, tables=emptied("logs", START + 50, chain=chain))


@pytest.mark.parametrize("quirk", ["zero_bloom", "full_bloom"])
@pytest.mark.parametrize("form", ["null", "an empty list", "an error", "an error in words", "some of them"])
def test_rng_4_a_node_with_the_method_but_no_receipts_confirms_nothing(quirk: str, form: str, tmp_path: Path):
    """RNG-4: missing receipts fail the proof, whatever the chain's blooms."""
    chain = Chain(1, quirks=Quirks(**{quirk: True}))
    with pytest.raises(ProofFailed, match="the node has no receipts for"):
        prove("logs", tmp_path, *PRUNED_RECEIPTS[form], chain=chain)


def test_rng_4_receipts_are_requested_one_by_one_without_the_block_method(tmp_path: Path):
    """RNG-4: receipts by transaction are as good as receipts by block."""
    chain = Chain(1, quirks=Quirks(zero_bloom=True, no_block_receipts=True))
    assert prove("logs", tmp_path, chain=chain).evidence == "chain"
    with pytest.raises(ProofFailed, match="its receipts"):
        prove("logs", tmp_path, chain=chain, tables=emptied("logs", START + 50, chain=chain))


@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers"])
def test_rng_4_a_chain_without_blooms_is_proved_by_receipts(dataset: str, tmp_path: Path):
    """RNG-4: on such a chain a bloom of zeros does not show that a block has no logs."""
    chain = Chain(1, quirks=Quirks(zero_bloom=True))
    assert prove(dataset, tmp_path, chain=chain).evidence == "chain"
    with pytest.raises(ProofFailed, match="its receipts"):
        prove(dataset, tmp_path, NO_LOGS, chain=chain, tables=emptied(dataset, chain=chain))


def test_rng_4_full_transactions_in_a_header_are_read_as_their_hashes(tmp_path: Path):
    """RNG-4: a node may return full transactions although hashes were requested."""
    table = true_tables(CHAIN, task_of("transactions", START, END))[0]
    hashes = table.filter(pc.equal(table["block_number"], START + 5))["transaction_hash"].to_pylist()
    bodies = [{"hash": f"0x{each.hex()}", "nonce": "0x0"} for each in hashes]
    whole = do.Fields({"transactions": bodies}, method="eth_getBlockByNumber", block=START + 5)
    assert prove("transactions", tmp_path, whole).evidence == "chain"


def test_rng_4_equal_bytes_of_another_chunk_are_confirmed_separately(tmp_path: Path):
    """RNG-4: two files without rows have equal bytes; the second has lost its logs and fails."""
    task = task_of("logs", 0, 2000)
    tables = [table.slice(0, 0) for table in true_tables(CHAIN, task)]
    empty = do.Fields({"logsBloom": NO_BLOOM, "transactions": []})
    quiet = [replace(empty, method="eth_getBlockByNumber", block=number) for number in range(1000)]
    with (
        RpcPool(Node(CHAIN, head=10_000), [*quiet, NO_LOGS]) as pool,
        pytest.raises(ProofFailed, match="00001000_to_00001999"),
    ):
        prove_tables(task, settings_of(pool.url, "chain"), tables, tmp_path)


def test_lay_10_recorded_evidence_counts_only_for_its_chunk(tmp_path: Path):
    """LAY-10: metadata that were copied to another key with equal bytes do not replace a proof."""
    task = task_of("logs", START, END)
    (chunk,) = chunks(task)
    settings = settings_of("", "chain")
    path = tmp_path / chunk.name
    pq.write_table(true_tables(CHAIN, task)[0], path)

    async def confirm(subject: str) -> tuple[FileProof, int]:
        clock = JumpingClock()
        with RpcPool(Node(CHAIN, head=10_000)) as pool:
            with_pool = replace(settings, rpc=settings_of(pool.url).rpc)
            async with open_endpoint(
                task, settings=with_pool, chain=HttpChain(with_pool, clock), clock=clock
            ) as endpoint:
                prover = make_prover(task, all_datasets()["logs"], settings=with_pool, endpoint=endpoint)
                rows_proof = await prover.prove_rows(path, chunk)
                recorded = {"sha256": rows_proof.sha256, "evidence": "receipts", "evidence-of": subject}
                proof = await prover.confirm_with_node(path, chunk, rows_proof=rows_proof, recorded=recorded)
                return proof, len(pool.journal)

    confirmed, calls = asyncio.run(confirm(f"1:logs:{START}:{END}"))
    assert (confirmed.evidence, calls) == ("receipts", 0)
    for other in ("1:logs:0:100", f"2:logs:{START}:{END}", f"1:erc20_transfers:{START}:{END}", ""):
        confirmed, calls = asyncio.run(confirm(other))
        assert confirmed.evidence == "chain"
        assert calls > END - START
