"""Logs that belong to a block and not to a transaction, like the system logs of several chains (quirk `block_logs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import TRANSFER_EVENT, padded, uint
from harness.world.values import ZERO_ADDRESS, Log, PlacedLog, Transaction

if TYPE_CHECKING:
    from harness.world.values import Header

BLOCK_LOGS_EVERY = 10


def block_log(header: Header, *, token: bytes, log_index: int) -> PlacedLog:
    """Return the log of a block itself: a Transfer to its author, so that `logs` and `erc20_transfers` contain it."""
    log = Log(token, (TRANSFER_EVENT, bytes(32), padded(header.author)), uint(1 + header.gas_used))
    # In place of a transaction's hash and index, nodes give the block's hash and the next free index.
    stand_in = Transaction(
        block_number=header.number,
        transaction_index=header.transaction_count,
        hash=header.hash,
        random_bytes=b"",
        program=-1,
        sender=ZERO_ADDRESS,
        to=None,
        nonce=0,
        value=0,
        input=b"",
        gas_limit=0,
        gas_used=0,
        gas_price=0,
        type=0,
        max_priority_fee_per_gas=None,
        max_fee_per_gas=None,
        success=True,
    )
    return PlacedLog(stand_in, log_index, log, in_bloom=True)
