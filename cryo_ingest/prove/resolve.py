"""Resolves suspect blocks of log datasets: pure functions of header, receipts, logs and the file's rows (RNG-4).

Receipts are the preferred source. Cryo gets the rows from `eth_getLogs`, so logs that the node has lost are missing
both in the rows and in a second call of that method. Its result alone is therefore trusted only if there are no
receipts, and if the bloom computed from it equals the header's. On a chain whose blooms are not useful, a node without
a method for receipts offers no evidence: rows that equal the result pass, but are recorded as proved by rows only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.prove.sources import Unavailable, has_bits_beyond
from cryo_ingest.rpc.bloom import ALL_SET, bloom_of_logs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.prove.log_summaries import LogRows
    from cryo_ingest.prove.sources import Receipts
    from cryo_ingest.rpc.results import Header, Log


@dataclass(frozen=True, slots=True)
class Resolution:
    """The result for a suspect block: the problem or None, and the source.

    `rows_only` is set if only the rows were checked.
    """

    problem: str | None
    source: str
    rows_only: bool = False


@dataclass(frozen=True, slots=True)
class SuspectBlock:
    """A block whose rows must be confirmed.

    `mismatch` is None if the block is checked only because the level is `receipts`.
    """

    header: Header
    mismatch: str | None


def blooms_are_useful(headers: Iterable[Header]) -> bool:
    """Return whether a chain's blooms are useful: some chains never set them, others set all bits."""
    blooms = {header.bloom or 0 for header in headers}
    return not blooms <= {0, ALL_SET}


def resolve_by_receipts(
    rows: LogRows, suspect: SuspectBlock, *, receipts: Receipts, useful_blooms: bool
) -> Resolution | None:
    """Compare a block's rows with its receipts.

    Return None if the receipts are inconclusive because of logs that belong to no transaction (system logs, state
    syncs). On some chains such logs are in no receipt. Then either the file has rows of them, or the header's bloom has
    bits that no log in the receipts sets.
    """
    header = suspect.header
    problem = rows.compare_receipts(header, receipts)
    if suspect.mismatch is None and problem is None:
        return Resolution(None, "its receipts")
    if problem is not None:
        inconclusive = rows.has_block_logs(header)
    else:
        inconclusive = useful_blooms and has_bits_beyond(header.bloom or 0, _logs_of(receipts))
    return None if inconclusive else Resolution(problem, "its receipts")


def resolve_by_receipts_and_logs(
    rows: LogRows,
    suspect: SuspectBlock,
    *,
    receipts: Receipts,
    logs: tuple[Log, ...] | Unavailable,
    useful_blooms: bool,
) -> Resolution:
    """Resolve a block for which `resolve_by_receipts` was inconclusive.

    `eth_getLogs` may return logs that belong to no transaction, in addition to those in the receipts.
    """
    header, receipt_logs = suspect.header, _logs_of(receipts)
    problem = rows.compare_receipts(header, receipts)
    # Receipts without logs confirm nothing: the node may have lost the logs.
    confirmed = problem is None and bool(receipt_logs)
    if isinstance(logs, Unavailable):
        return _by_receipts(problem or f"its logs are not available ({logs.reason})", confirmed=confirmed)
    extra = Counter(logs)
    extra.subtract(receipt_logs)
    if any(count < 0 for count in extra.values()):
        text = "eth_getLogs does not return all logs of the block's receipts"
        return _by_receipts(problem or text, confirmed=confirmed)
    hashes = set(header.transactions)
    if any(count > 0 and log.transaction_hash in hashes for log, count in extra.items()):
        text = "eth_getLogs returns more logs for the block's transactions than their receipts contain"
        return Resolution(problem or text, "its receipts")
    if useful_blooms and has_bits_beyond(header.bloom or 0, logs):
        text = "the header's bloom has bits that neither the receipts nor eth_getLogs explain"
        return _by_receipts(text, confirmed=confirmed)
    return Resolution(rows.compare_logs(header, logs), "its receipts and eth_getLogs")


def _by_receipts(problem: str, *, confirmed: bool) -> Resolution:
    """Return that the receipts alone confirm the rows, or the problem if they do not."""
    return Resolution(None if confirmed else problem, "its receipts")


def resolve_by_logs(
    rows: LogRows,
    suspect: SuspectBlock,
    *,
    logs: tuple[Log, ...] | Unavailable,
    useful_blooms: bool,
    has_receipt_method: bool,
    receipts: Unavailable,
) -> Resolution:
    """Resolve a block without receipts, by its logs alone.

    `has_receipt_method` says whether the node has a method that returns receipts.
    """
    header, source = suspect.header, "eth_getLogs"
    no_receipts = f"the node has no receipts for it ({receipts.reason})"
    if isinstance(logs, Unavailable):
        return Resolution(f"{no_receipts}, and no logs ({logs.reason})", source)
    if useful_blooms and bloom_of_logs((log.address, *log.topics) for log in logs) == header.bloom:
        return Resolution(rows.compare_logs(header, logs), source)
    if not useful_blooms and not has_receipt_method:
        return Resolution(rows.compare_logs(header, logs), source, rows_only=True)
    return Resolution(f"{no_receipts}, and eth_getLogs does not match its header's bloom", source)


def _logs_of(receipts: Receipts) -> list[Log]:
    return [log for receipt in receipts.values() for log in receipt.logs]
