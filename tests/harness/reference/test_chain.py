"""The proof by the chain of the reference worker, in process, on the fake pool."""

from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault
from harness.faults.rpc import Error, Fields, Items, Lagging, Outage, Pruned, Result
from harness.reference.bugs import BUG_VARIABLE
from harness.reference.cancellation import Cancellation
from harness.reference.chain import prove
from harness.reference.errors import FailedProof, Retryable, Unconfirmed
from harness.reference.log import Log
from harness.reference.proof import File
from harness.reference.rpc import Endpoint
from harness.reference.task import Chunk, Task
from harness.world.chain import Chain
from harness.world.quirks import Quirks
from harness.world.tables import build

PATIENCE_SECONDS = 1.5


def task(dataset: str) -> Task:
    """Make a task of one dataset."""
    return Task("0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11", "k", 31337, dataset, "local", 1000, 1040, "h")


def file(chain: Chain, dataset: str, *, lost_below: int = 0, numbers: range = range(1000, 1040)) -> File:
    """Make the file that Cryo writes for some blocks, without the rows of blocks below a number."""
    table = build(chain, dataset, list(numbers))
    return of_rows(table.filter(pc.greater_equal(table["block_number"], lost_below)), numbers)


def of_rows(table: pa.Table, numbers: range = range(1000, 1040)) -> File:
    """Make a file of rows; equal rows have equal bytes."""
    return File(Chunk(f"{numbers.start}.parquet", numbers.start, numbers.stop - 1), repr(table).encode(), table, False)


def levels(
    dataset: str, files: list[File], chain: Chain, *faults: RpcFault, level: str = "chain", **node: Any
) -> dict[str, str]:
    """Prove files on a pool of one node."""
    with RpcPool(Node(chain, head=5000, **node), faults) as pool:
        endpoint = Endpoint(pool.url, Cancellation(), PATIENCE_SECONDS)
        return prove(task(dataset), files, endpoint, level, Log())


def world(**quirks: bool) -> Chain:
    """Make a chain with quirks."""
    return Chain(31337, quirks=Quirks(**quirks))


LOGS = ("logs", "erc20_transfers", "erc721_transfers")


@pytest.mark.parametrize("receipts", ["null", "empty", "error"])
@pytest.mark.parametrize("quirks", [{}, {"zero_bloom": True}, {"full_bloom": True}, {"no_block_receipts": True}])
def test_rng_4_rows_lost_together_with_the_receipts_are_not_confirmed(quirks: dict[str, bool], receipts: str):
    """RNG-4: a node that has pruned logs and receipts does not confirm a file without rows."""
    chain = world(**quirks)
    with pytest.raises(Unconfirmed, match="no receipts"):
        levels("logs", [file(chain, "logs", lost_below=1020)], chain, pruned_below=1020, pruned_receipts=receipts)


@pytest.mark.parametrize("dataset", LOGS[1:])
def test_rng_4_transfers_lost_together_with_the_receipts_are_not_confirmed(dataset: str):
    """RNG-4: only receipts decide about a block with the Transfer topic in its bloom."""
    chain = world()
    with pytest.raises(Unconfirmed, match="no receipts"):
        levels(dataset, [file(chain, dataset, lost_below=1020)], chain, pruned_below=1020)


@pytest.mark.parametrize("dataset", LOGS)
def test_rng_4_receipts_reveal_lost_rows(dataset: str):
    """RNG-4: if receipts have logs that the file lacks, the proof fails, whatever eth_getLogs answers."""
    chain = world()
    with pytest.raises(FailedProof, match=r"block 10\d\d.*receipts are missing.*same answer twice"):
        levels(dataset, [file(chain, dataset, lost_below=1020)], chain, Result([], method="eth_getLogs"))


def test_rng_4_logs_by_hash_decide_only_if_they_match_the_bloom():
    """RNG-4: complete logs by hash confirm rows without receipts; a chain with useless blooms needs receipts."""
    no_receipts = (
        Result(None, method="eth_getBlockReceipts"),
        Result(None, method="eth_getTransactionReceipt"),
    )
    plain, full = world(restarting_log_index=True), world(full_bloom=True)
    assert levels("logs", [file(plain, "logs")], plain, *no_receipts) == {"1000.parquet": "chain"}
    with pytest.raises(Unconfirmed):
        levels("logs", [file(full, "logs")], full, *no_receipts)


@pytest.mark.parametrize("bloom", ["full_bloom", "zero_bloom"])
def test_rng_4_without_receipts_and_blooms_only_the_rows_are_proved(bloom: str):
    """RNG-4: without receipts and useful blooms, logs are proved only by rows; the level receipts fails."""
    chain = world(no_receipts=True, **{bloom: True})
    assert levels("logs", [file(chain, "logs")], chain) == {"1000.parquet": "rows"}
    with pytest.raises(Unconfirmed):
        levels("logs", [file(chain, "logs")], chain, level="receipts")
    with pytest.raises(FailedProof):
        levels("logs", [file(chain, "logs", lost_below=1020)], chain)


@pytest.mark.parametrize("dataset", LOGS)
@pytest.mark.parametrize("quirk", ["block_logs", "block_log_receipts"])
@pytest.mark.parametrize("level", ["chain", "receipts"])
def test_rng_4_logs_without_a_transaction_are_compared(dataset: str, quirk: str, level: str):
    """RNG-4: a log without a transaction passes if the node has it, and fails otherwise."""
    chain = world(**{quirk: True})
    assert levels(dataset, [file(chain, dataset)], chain, level=level) == {"1000.parquet": level}
    if dataset == "logs":
        with pytest.raises(Retryable):
            levels(dataset, [file(chain, dataset)], world(), level=level)


def test_rng_4_each_chunk_is_proved_even_if_its_bytes_are_equal():
    """RNG-4: a correct empty file does not confirm another empty file that lacks rows."""
    chain = world(late_start=True)
    empty = of_rows(file(chain, "logs", lost_below=9999).table, range(1000, 1020))
    lost = File(Chunk("1500.parquet", 1500, 1519), empty.body, empty.table, False)
    assert levels("logs", [empty], chain) == {"1000.parquet": "chain"}
    with pytest.raises(Unconfirmed, match="block 15"):
        levels("logs", [empty, lost], chain, pruned_below=1600)


@pytest.mark.parametrize("dataset", ["traces", "geth_calls"])
def test_rng_4_each_transaction_that_used_gas_has_a_trace(dataset: str):
    """RNG-4: a file without rows of one transaction fails, even if its block has other rows."""
    chain = world()
    whole = file(chain, dataset)
    number = next(each for each in range(1000, 1040) if len(chain.transactions(each)) > 1)
    lost = chain.transactions(number)[0].hash
    kept = [each != lost for each in whole.table["transaction_hash"].to_pylist()]
    assert levels(dataset, [whole], chain) == {"1000.parquet": "chain"}
    with pytest.raises(FailedProof, match=f"block {number}"):
        levels(dataset, [of_rows(whole.table.filter(kept))], chain)


@pytest.mark.parametrize("quirk", sorted(asdict(Quirks())))
@pytest.mark.parametrize("dataset", [*LOGS, "transactions", "traces"])
def test_rng_4_correct_rows_pass_on_every_chain(dataset: str, quirk: str):
    """RNG-4: correct rows pass with every quirk of a chain."""
    chain = world(**{quirk: True})
    assert levels(dataset, [file(chain, dataset)], chain) == {"1000.parquet": "chain"}


@pytest.mark.parametrize(
    "fault",
    [
        Items(first=0, method="eth_getBlockReceipts"),
        Items(without_every=2, method="eth_getBlockReceipts"),
        Error(-32000, "method is not available", method="eth_getBlockReceipts"),
        Pruned(5000, method="eth_getBlockReceipts", nth=2, every=2),
        Lagging(900, method="eth_getBlockByNumber", times=10),
        Fields({"logs": [], "logsBloom": "0x" + "f7" * 256}, method="eth_getBlockReceipts"),
    ],
)
def test_rng_4_receipts_of_single_transactions_are_the_fallback(fault: RpcFault):
    """RNG-4: if one method returns too little, another one is called."""
    chain = world(zero_bloom=True)
    assert levels("logs", [file(chain, "logs")], chain, fault) == {"1000.parquet": "chain"}


@pytest.mark.parametrize("form", ["each", "object", "list", "string", "message", "bare", "html", "empty", "close"])
def test_rng_4_calls_are_repeated_in_a_short_outage_with_http_200(form: str):
    """RNG-4, OUT-2: an error is not evidence; the call is repeated until it is answered."""
    chain, outage = world(), Outage(requests=20, form=form)
    assert levels("logs", [file(chain, "logs")], chain, replace(outage, method="eth_getBlockByNumber", nth=3, times=1))


@pytest.mark.parametrize("form", ["each", "object", "string", "html"])
def test_out_2_a_long_outage_is_a_retryable_error_and_not_a_failed_proof(form: str):
    """OUT-2: when time is up, the error is that of the node."""
    chain, outage = world(), Outage(requests=5000, form=form)
    with pytest.raises(Retryable, match="RPC pool") as raised:
        levels("logs", [file(chain, "logs")], chain, replace(outage, method="eth_getBlockByNumber", nth=3, times=1))
    assert not isinstance(raised.value, FailedProof | Unconfirmed)


@pytest.mark.parametrize("name", ["trusts-logs-by-hash", "takes-too-few-receipts"])
def test_each_bug_lets_lost_rows_pass(name: str, monkeypatch: pytest.MonkeyPatch):
    """With these bugs lost rows are published, so that a check can find them."""
    chain = world()
    monkeypatch.setenv(BUG_VARIABLE, name)
    lost = file(chain, "logs", lost_below=1020)
    assert levels("logs", [lost], chain, pruned_below=1020, pruned_receipts="empty")
