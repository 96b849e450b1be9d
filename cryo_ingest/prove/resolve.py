"""Resolves suspect blocks of log datasets: pure functions of header, receipts, logs and the file's rows (RNG-4).

Receipts are the preferred source. Cryo gets the rows from `eth_getLogs`, so logs that the node has lost are missing in
the rows and in a second answer of that method alike. Its answer therefore counts only if there are no receipts, and if
the bloom computed from it equals the header's. On a chain with useless blooms and without a method for receipts there
is no evidence: rows that equal the answer pass, but count as proved by rows only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.prove.bloom import ALL_SET, bloom_of_logs
from cryo_ingest.prove.sources import has_bits_beyond

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.prove.log_summaries import LogRows
    from cryo_ingest.prove.sources import Receipts
    from cryo_ingest.rpc.results import Header, Log


@dataclass(frozen=True, slots=True)
class Resolution:
    """The result for a suspect block: the problem or None, and the source; `rows_only` if there was no evidence."""

    problem: str | None
    source: str
    rows_only: bool = False


@dataclass(frozen=True, slots=True)
class SuspectBlock:
    """A block whose rows must be confirmed; `mismatch` is None if only the level requires it."""

    header: Header
    mismatch: str | None


def blooms_are_useful(headers: Iterable[Header]) -> bool:
    """Return whether a chain's blooms are informative: some chains never set them, others set all bits."""
    blooms = {header.bloom or 0 for header in headers}
    return not blooms <= {0, ALL_SET}


def resolve_by_receipts(rows: LogRows, suspect: SuspectBlock, *, receipts: Receipts, useful: bool) -> Resolution | None:
    """Compare a block's rows with its receipts; None if logs outside all transactions leave it unresolved.

    Such logs (system logs, state syncs) are in no receipt on some chains: either the file has rows of them, or the
    header's bloom has more than the receipts' logs.
    """
    header = suspect.header
    problem = rows.compare_receipts(header, receipts)
    if suspect.mismatch is None and problem is None:
        return Resolution(None, "its receipts")
    if problem is not None:
        unresolved = rows.has_block_logs(header)
    else:
        unresolved = useful and has_bits_beyond(header.bloom or 0, _logs_of(receipts))
    return None if unresolved else Resolution(problem, "its receipts")


def resolve_by_receipts_and_logs(
    rows: LogRows, suspect: SuspectBlock, *, receipts: Receipts, logs: tuple[Log, ...] | str, useful: bool
) -> Resolution:
    """Resolve a block that `resolve_by_receipts` could not: eth_getLogs may add block logs to the receipts' logs."""
    header, listed = suspect.header, _logs_of(receipts)
    problem = rows.compare_receipts(header, receipts)
    confirmed = problem is None and bool(listed)
    if isinstance(logs, str):
        return Resolution(None if confirmed else problem or f"its logs are not available ({logs})", "its receipts")
    more, missing = Counter(logs), Counter(listed)
    more.subtract(missing)
    if any(count < 0 for count in more.values()):
        text = "eth_getLogs lacks logs that its receipts have"
        return Resolution(None if confirmed else problem or text, "its receipts")
    hashes = set(header.transactions)
    if any(count > 0 and log.transaction_hash in hashes for log, count in more.items()):
        return Resolution(problem or "eth_getLogs has more logs of its transactions than its receipts", "its receipts")
    if useful and has_bits_beyond(header.bloom or 0, logs):
        text = "its header's bloom has logs that are missing in its receipts and in eth_getLogs"
        return Resolution(None if confirmed else text, "its receipts")
    return Resolution(rows.compare_logs(header, logs), "its receipts and eth_getLogs")


def resolve_by_logs(
    rows: LogRows, suspect: SuspectBlock, *, logs: tuple[Log, ...] | str, useful: bool, no_methods: bool, reason: str
) -> Resolution:
    """Resolve a block without receipts.

    `reason` says why it has none, `no_methods` whether the node has no method that returns receipts.
    """
    header, source = suspect.header, "eth_getLogs"
    without = f"the node has no receipts for it ({reason})"
    if isinstance(logs, str):
        return Resolution(f"{without}, and no logs ({logs})", source)
    if useful and bloom_of_logs((log.address, *log.topics) for log in logs) == header.bloom:
        return Resolution(rows.compare_logs(header, logs), source)
    if not useful and no_methods:
        return Resolution(rows.compare_logs(header, logs), source, rows_only=True)
    return Resolution(f"{without}, and eth_getLogs does not match its header's bloom", source)


def _logs_of(receipts: Receipts) -> list[Log]:
    return [log for receipt in receipts.values() for log in receipt.logs]
