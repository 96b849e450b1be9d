"""Programs with unusual results: reverts, calls that emit no log, logs with every number of topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import (
    AMOUNT,
    OTHER,
    PICK,
    RECIPIENT,
    TRANSFER_EVENT,
    VALUE,
    Intent,
    amount,
    inner,
    outermost,
    padded,
    pick,
    uint,
    word,
)
from harness.world.values import Access, Frame, Log, Transaction

if TYPE_CHECKING:
    from harness.world.actors import Actors

_REASON = bytes.fromhex("08c379a0") + uint(32)


class Revert:
    """A call that reverts because an inner call did; its value is returned and no log is emitted."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = random_bytes[OTHER : OTHER + 4] + word(random_bytes, 0)
        return Intent(
            pick(actors.oddities, random_bytes[PICK]),
            amount(random_bytes[VALUE], word(random_bytes, 3)),
            data,
            success=False,
        )

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        random_bytes = transaction.random_bytes
        reason = _REASON + uint(4) + random_bytes[OTHER : OTHER + 4] + bytes(28)
        call = outermost(transaction, output=reason, error="revert")
        failed = inner(
            "CALL", call, pick(actors.pools, random_bytes[RECIPIENT]), call.input, output=reason, error="revert"
        )
        out_of_gas = inner("CALL", call, pick(actors.tokens, random_bytes[AMOUNT]), call.input[:4], error="out of gas")
        return call._replace(calls=(out_of_gas, failed) if random_bytes[AMOUNT] % 2 else (failed,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(transaction.to or b"", uint(5), written=False),)


class OddLogs:
    """Logs with 0 to 4 topics, with and without data, and Transfer events that are not valid ERC-20 or ERC-721."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        return Intent(to=pick(actors.oddities, random_bytes[PICK]), value=0, input=random_bytes[OTHER : OTHER + 4])

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        random_bytes, address = transaction.random_bytes, transaction.to or b""
        topics = tuple(word(random_bytes, index) for index in range(4))
        sender, other = padded(transaction.sender), padded(pick(actors.eoas, random_bytes[RECIPIENT]))
        plain = tuple(
            Log(
                address,
                topics[:count],
                word(random_bytes, 3)[: random_bytes[AMOUNT] % 32] if (count + random_bytes[OTHER]) % 2 else b"",
            )
            for count in range(5)
        )
        return (
            *plain,
            Log(address, (TRANSFER_EVENT, sender, other), b""),
            Log(address, (TRANSFER_EVENT,), sender + other + word(random_bytes, 0)),
            Log(address, (TRANSFER_EVENT, sender, other, word(random_bytes, 1)), word(random_bytes, 2)),
        )

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction, output=word(transaction.random_bytes, 0)[: transaction.random_bytes[AMOUNT] % 33])

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        address = transaction.to or b""
        return (
            Access(address, word(transaction.random_bytes, 2), written=True),
            Access(address, uint(5), written=False),
        )


class SilentCall:
    """A call that sends value through two contracts and writes storage, but emits no log."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = random_bytes[OTHER : OTHER + 4] + word(random_bytes, 0) + bytes(random_bytes[AMOUNT] % 64)
        return Intent(
            to=pick(actors.oddities, random_bytes[PICK]),
            value=amount(random_bytes[VALUE] | 4, word(random_bytes, 3)),
            input=data,
        )

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        random_bytes, value = transaction.random_bytes, transaction.value
        call = outermost(transaction)
        hop = inner("CALL", call, pick(actors.pools, random_bytes[RECIPIENT]), b"", value=value)
        borrowed = inner("CALLCODE", hop, actors.library, random_bytes[OTHER : OTHER + 4], value=value // 2)
        last = inner("CALL", hop, pick(actors.eoas, random_bytes[AMOUNT]), b"", value=value // 2)
        return call._replace(calls=(hop._replace(calls=(borrowed, last)),))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        address = transaction.to or b""
        return (
            Access(address, uint(7), written=True),
            Access(address, word(transaction.random_bytes, 1), written=True),
        )
