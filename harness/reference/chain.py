"""The proof by the chain (RNG-4, levels `chain` and `receipts`): the files against what the node itself says.

Every block is asked for by number; what is compared is tied to the rows by hashes. Datasets made of logs are
`chain_logs.py`'s.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

from harness.reference.bugs import bug
from harness.reference.chain_logs import COLUMNS, Blooms, LogBlock, Verdict
from harness.reference.errors import FailedProof, Unconfirmed
from harness.reference.evidence import UNUSABLE, Header, NoEvidence, as_bytes, header_of, receipts_of

if TYPE_CHECKING:
    from harness.reference.log import Log
    from harness.reference.proof import File
    from harness.reference.rpc import Endpoint
    from harness.reference.task import Task

    Row = dict[str, Any]

AT_ONCE = 8
SAMPLES_PER_FILE = 8
TRACES = ("traces", "geth_calls")
ALL_BLOCKS = ("transactions", *COLUMNS, *TRACES)
SHOWN_BLOCKS = 5


def prove(task: Task, files: list[File], endpoint: Endpoint, level: str, log: Log) -> dict[str, str]:
    """Compare all files with the node, and return the level that was proved of each, by its name.

    Raises:
        FailedProof: they differ; the message gives the blocks.
        Unconfirmed: the node can't show enough to compare them with; the message gives the blocks.
    """
    levels: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    for file in files:
        digest = hashlib.sha256(file.body).hexdigest()
        if bug("believes-empty-answers"):
            levels[file.chunk.name] = level
        elif bug("one-empty-file-proves-all") and digest in by_digest:
            levels[file.chunk.name] = by_digest[digest]
        else:
            levels[file.chunk.name] = by_digest[digest] = _prove_file(task, file, endpoint, level, log)
    return levels


def _prove_file(task: Task, file: File, endpoint: Endpoint, level: str, log: Log) -> str:
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
    return "rows" if rows_only and not bug("calls-rows-chain") else level


def _numbers(dataset: str, file: File) -> list[int]:
    """Return the blocks that are asked for; none for a dataset that is proved by rows only."""
    first, last = file.chunk.first, file.chunk.last
    if dataset == "blocks":
        return sorted({*range(first, last + 1, max(1, (last - first) // SAMPLES_PER_FILE)), last})
    return list(range(first, last + 1)) if dataset in ALL_BLOCKS else []


@dataclass(slots=True)
class _Comparison:
    """One file's rows and the headers that the node gave for them."""

    dataset: str
    rows: dict[int, list[Row]]
    endpoint: Endpoint
    level: str
    headers: dict[int, Header | NoEvidence] = field(default_factory=dict)

    def check(self, numbers: list[int]) -> dict[int, Verdict]:
        """Ask for some blocks and compare them with their rows."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
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
            return Verdict(f"the node's answer can't be used ({type(error).__name__})", is_unknown=True)

    def _problem(self, header: Header, rows: list[Row]) -> str | None:
        if self.dataset == "blocks":
            return None if rows and rows[0]["block_hash"] == header.hash else "another block hash"
        if self.dataset == "transactions":
            return _transactions_problem(header, rows, self.endpoint, self.level)
        return _traces_problem(header, rows, self.endpoint)


def _raise_for_problems(dataset: str, verdicts: dict[int, Verdict], *, twice: bool) -> None:
    """Raise if some block's rows are wrong or can't be confirmed; `twice` if the node gave the same answer again."""
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


def _transactions_problem(header: Header, rows: list[Row], endpoint: Endpoint, level: str) -> str | None:
    rows = sorted(rows, key=lambda row: row["transaction_index"])
    if [row["transaction_hash"] for row in rows] != header.transactions:
        return f"{len(rows)} transactions, the block has {len(header.transactions)}, or others"
    if level != "receipts":
        return None
    receipts = _receipts_by_transaction(header, endpoint)
    for row in rows:
        receipt = receipts[row["transaction_hash"]]
        status = receipt.get("status")
        if int(receipt["gasUsed"], 16) != row["gas_used"]:
            return f"the gas used by transaction {row['transaction_index']} is not its receipt's"
        if status is not None and (int(status, 16) == 1) != row["success"]:
            return f"the success of transaction {row['transaction_index']} is not its receipt's"
    return None


def _traces_problem(header: Header, rows: list[Row], endpoint: Endpoint) -> str | None:
    """Find a transaction that used gas and has no row."""
    seen = {row["transaction_hash"] for row in rows} - {None}  # a block's reward has none
    if header.gas_used and not seen:
        return "gas was used, but there are no rows"
    if not seen <= set(header.transactions):
        return "a row's transaction is not in the block"
    missing = [each for each in header.transactions if each not in seen]
    if not missing or bug("forgives-missing-traces"):
        return None
    # A system transaction of some chains uses no gas and has no trace.
    receipts = _receipts_by_transaction(header, endpoint)
    lost = [each for each in missing if int(receipts[each]["gasUsed"], 16)]
    return f"{len(lost)} transactions used gas, but have no rows" if lost else None


def _receipts_by_transaction(header: Header, endpoint: Endpoint) -> dict[bytes, Row]:
    receipts = receipts_of(header, endpoint)
    if receipts.found is None:
        raise NoEvidence(f"the node has no receipts for it ({receipts.reason})")
    return {as_bytes(receipt["transactionHash"]): receipt for receipt in receipts.found}
