"""What decides about a suspected block: pure functions of its header, receipts, logs and the file's rows (RNG-4).

Receipts decide. `eth_getLogs` by the block's hash is the method that the rows came from, so what it has lost, the rows
have lost too: it only decides where there are no receipts and the bloom rebuilt from that very answer is the header's.
On a chain whose blooms are of no use and whose nodes have no method for receipts, nothing is left to decide by: rows
that equal the answer pass, but count as proved by rows only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.prove.bloom import ALL_SET, bloom_of_logs
from cryo_ingest.prove.sources import unexplained

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.prove.log_summaries import LogRows
    from cryo_ingest.prove.sources import Receipts
    from cryo_ingest.rpc.results import Header, Log


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a block: the problem, or None; by which evidence; whether only the rows back it."""

    problem: str | None
    by: str
    rows_only: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A block whose rows have to be confirmed: its header, and the suspicion (None where all blocks are)."""

    header: Header
    suspicion: str | None


def blooms_are_useful(headers: Iterable[Header]) -> bool:
    """Tell whether a chain's blooms say anything: some chains never set them, others set every bit of every bloom."""
    blooms = {header.bloom or 0 for header in headers}
    return not blooms <= {0, ALL_SET}


def decide_by_receipts(rows: LogRows, suspect: Suspect, receipts: Receipts, *, useful: bool) -> Decision | None:
    """Compare a block's rows with its receipts; None where logs outside all transactions leave the block open.

    Such logs (system logs, state syncs) are in no receipt on some chains: either the file has rows of them, or the
    header's bloom holds more than the receipts explain.
    """
    header = suspect.header
    problem = rows.compare_receipts(header, receipts)
    if suspect.suspicion is None and problem is None:
        return Decision(None, "its receipts")
    if problem is not None:
        is_open = rows.has_block_logs(header)
    else:
        is_open = useful and unexplained(header.bloom or 0, _logs_of(receipts))
    return None if is_open else Decision(problem, "its receipts")


def decide_by_both(
    rows: LogRows, suspect: Suspect, receipts: Receipts, logs: tuple[Log, ...] | str, *, useful: bool
) -> Decision:
    """Decide about a block that `decide_by_receipts` left open: logs may add block logs to the receipts' ones."""
    header, listed = suspect.header, _logs_of(receipts)
    problem = rows.compare_receipts(header, receipts)
    confirmed = problem is None and bool(listed)
    if isinstance(logs, str):
        return Decision(None if confirmed else problem or f"its logs are not available ({logs})", "its receipts")
    more, missing = Counter(logs), Counter(listed)
    more.subtract(missing)
    if any(count < 0 for count in more.values()):
        text = "eth_getLogs lacks logs that its receipts hold"
        return Decision(None if confirmed else problem or text, "its receipts")
    hashes = set(header.transactions)
    if any(count > 0 and log.transaction_hash in hashes for log, count in more.items()):
        return Decision(problem or "eth_getLogs gives more logs of its transactions than its receipts", "its receipts")
    if useful and unexplained(header.bloom or 0, logs):
        text = "its header's bloom holds logs that neither its receipts nor eth_getLogs have"
        return Decision(None if confirmed else text, "its receipts")
    return Decision(rows.compare_logs(header, logs), "its receipts and eth_getLogs")


def decide_by_logs(
    rows: LogRows, suspect: Suspect, logs: tuple[Log, ...] | str, *, useful: bool, no_methods: bool, reason: str
) -> Decision:
    """Decide about a block without receipts.

    `reason` says why it has none, `no_methods` whether the node offers no method that could give any.
    """
    header, by = suspect.header, "eth_getLogs"
    without = f"the node has no receipts for it ({reason})"
    if isinstance(logs, str):
        return Decision(f"{without}, nor its logs ({logs})", by)
    if useful and bloom_of_logs((log.address, *log.topics) for log in logs) == header.bloom:
        return Decision(rows.compare_logs(header, logs), by)
    if not useful and no_methods:
        return Decision(rows.compare_logs(header, logs), by, rows_only=True)
    return Decision(f"{without}, and eth_getLogs does not explain its header's bloom", by)


def _logs_of(receipts: Receipts) -> list[Log]:
    return [log for receipt in receipts.values() for log in receipt.logs]
