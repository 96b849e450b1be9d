"""The proof by the chain (RNG-4, levels `chain` and `receipts`): compare the files with the node's answers.

Every block is requested by number, and hashes connect the answers to the rows. The proof of datasets made of logs is in
`chain_logs.py`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

from harness.reference.bugs import has_bug
from harness.reference.chain_logs import COLUMNS, Blooms, LogBlock, Verdict
from harness.reference.errors import FailedProof, Unconfirmed
from harness.reference.evidence import UNUSABLE, Header, NoEvidence, as_bytes, header_of, receipts_of

if TYPE_CHECKING:
    from harness.reference.log import Log
    from harness.reference.proof import File
    from harness.reference.rpc import Node
    from harness.reference.task import Task

    Row = dict[str, Any]

CONCURRENT_CALLS = 8
SAMPLES_PER_FILE = 8
TRACES = ("traces", "geth_calls")
ALL_BLOCKS = ("transactions", *COLUMNS, *TRACES)
SHOWN_BLOCKS = 5


def prove(task: Task, files: list[File], endpoint: Node, level: str, log: Log) -> dict[str, str]:
    """Compare all files with the node, and return the proved level of each file by its name.

    Raises:
        FailedProof: they differ; the message names the blocks.
        Unconfirmed: the node does not give enough evidence; the message names the blocks.
    """
    levels: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    for file in files:
        digest = hashlib.sha256(file.body).hexdigest()
        if has_bug("believes-empty-answers"):
            levels[file.chunk.name] = level
        elif has_bug("one-empty-file-proves-all") and digest in by_digest:
            levels[file.chunk.name] = by_digest[digest]
        else:
            levels[file.chunk.name] = by_digest[digest] = _prove_file(task, file, endpoint, level, log)
    return levels


def _prove_file(task: Task, file: File, endpoint: Node, level: str, log: Log) -> str:
    dataset = task.cryo_dataset_name
    numbers = _numbers(dataset, file)
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in file.table.to_pylist() if numbers else ():
        rows[row["block_number"]].append(row)
    comparison = _Comparison(dataset, rows, endpoint, level)
    first = comparison.check(numbers)
    again = comparison.check([number for number, verdict in first.items() if verdict.problem])
    verdicts = first | again
    _raise_for_problems(dataset, verdicts, twice=verdicts == first)
    for number in numbers:
        if verdicts[number].was_suspect:
            log.write("proof.bloom_contradicted", block=number)
    rows_only = any(verdict.rows_only for verdict in verdicts.values())
    return "rows" if rows_only and not has_bug("calls-rows-chain") else level


def _numbers(dataset: str, file: File) -> list[int]:
    """Return the blocks to request; none for a dataset that is proved only by its rows."""
    first, last = file.chunk.first, file.chunk.last
    if dataset == "blocks":
        return sorted({*range(first, last + 1, max(1, (last - first) // SAMPLES_PER_FILE)), last})
    return list(range(first, last + 1)) if dataset in ALL_BLOCKS else []


@dataclass(slots=True)
class _Comparison:
    """The rows of one file and the headers of its blocks."""

    dataset: str
    rows: dict[int, list[Row]]
    endpoint: Node
    level: str
    headers: dict[int, Header | NoEvidence] = field(default_factory=dict)

    def check(self, numbers: list[int]) -> dict[int, Verdict]:
        """Request some blocks and compare them with their rows."""
        with ThreadPoolExecutor(CONCURRENT_CALLS) as pool:
            self.headers.update(zip(numbers, pool.map(self._header, numbers), strict=True))
            blooms = Blooms.of(header for header in self.headers.values() if isinstance(header, Header))
            return dict(zip(numbers, pool.map(self._verdict, numbers, repeat(blooms)), strict=True))

    def _header(self, number: int) -> Header | NoEvidence:
        try:
            return header_of(number, self.endpoint)
        except NoEvidence as problem:
            return problem

    def _verdict(self, number: int, blooms: Blooms) -> Verdict:
        header, rows = self.headers[number], self.rows.get(number, [])
        try:
            if isinstance(header, NoEvidence):
                raise header
            if self.dataset in COLUMNS:
                return LogBlock(self.dataset, header, rows, blooms).check(self.endpoint, self.level)
            return Verdict(self._problem(header, rows))
        except NoEvidence as problem:
            return Verdict(str(problem), is_unknown=True)
        except UNUSABLE as error:
            return Verdict(f"the node's answer is malformed ({type(error).__name__})", is_unknown=True)

    def _problem(self, header: Header, rows: list[Row]) -> str | None:
        if self.dataset == "blocks":
            return None if rows and rows[0]["block_hash"] == header.hash else "the block hash differs"
        if self.dataset == "transactions":
            return _transactions_problem(header, rows, self.endpoint, self.level)
        return _traces_problem(header, rows, self.endpoint)


def _raise_for_problems(dataset: str, verdicts: dict[int, Verdict], *, twice: bool) -> None:
    """Raise if the rows of a block are wrong or unconfirmed; `twice` means that the node repeated its answers."""
    failed = {number: verdict for number, verdict in verdicts.items() if verdict.problem}
    if not failed:
        return
    wrong = {number: verdict for number, verdict in failed.items() if not verdict.is_unknown}
    shown = list((wrong or failed).items())[:SHOWN_BLOCKS]
    listed = "; ".join(f"block {number}: {verdict.problem}" for number, verdict in shown)
    again = "; the same node gave the same answer twice" if twice else ""
    if wrong:
        raise FailedProof(f"{dataset} differs from the chain in {len(wrong)} blocks: {listed}{again}")
    raise Unconfirmed(f"{dataset} can't be confirmed in {len(failed)} blocks: {listed}{again}")


def _transactions_problem(header: Header, rows: list[Row], endpoint: Node, level: str) -> str | None:
    rows = sorted(rows, key=lambda row: row["transaction_index"])
    if [row["transaction_hash"] for row in rows] != header.transactions:
        return f"the {len(rows)} transactions are not the {len(header.transactions)} of the block"
    if level != "receipts":
        return None
    receipts = _receipts_by_transaction(header, endpoint)
    for row in rows:
        receipt = receipts[row["transaction_hash"]]
        status = receipt.get("status")
        if int(receipt["gasUsed"], 16) != row["gas_used"]:
            return f"the gas used by transaction {row['transaction_index']} differs from its receipt"
        if status is not None and (int(status, 16) == 1) != row["success"]:
            return f"the success of transaction {row['transaction_index']} differs from its receipt"
    return None


def _traces_problem(header: Header, rows: list[Row], endpoint: Node) -> str | None:
    """Return a problem if a transaction used gas and has no row, else None."""
    traced = {row["transaction_hash"] for row in rows} - {None}  # a block reward has no transaction
    if header.gas_used and not traced:
        return "gas was used, but there are no rows"
    if not traced <= set(header.transactions):
        return "a row's transaction is not in the block"
    missing = [transaction for transaction in header.transactions if transaction not in traced]
    if not missing or has_bug("forgives-missing-traces"):
        return None
    # On some chains a system transaction uses no gas and has no trace.
    receipts = _receipts_by_transaction(header, endpoint)
    lost = [transaction for transaction in missing if int(receipts[transaction]["gasUsed"], 16)]
    return f"{len(lost)} transactions used gas, but have no rows" if lost else None


def _receipts_by_transaction(header: Header, endpoint: Node) -> dict[bytes, Row]:
    receipts = receipts_of(header, endpoint)
    if receipts.listed is None:
        raise NoEvidence(f"the node has no receipts for the block ({receipts.reason})")
    return {as_bytes(receipt["transactionHash"]): receipt for receipt in receipts.listed}
