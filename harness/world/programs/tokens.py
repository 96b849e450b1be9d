"""Programs that move value and tokens: payments, ERC-20 transfers, swaps with nested calls, ERC-721 mints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import (
    AMOUNT,
    APPROVAL_EVENT,
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
from harness.world.values import ZERO_ADDRESS, Access, Frame, Log, Transaction

if TYPE_CHECKING:
    from harness.world.actors import Actors

TRANSFER_CALL = bytes.fromhex("a9059cbb")
TRANSFER_FROM_CALL = bytes.fromhex("23b872dd")
BALANCE_OF_CALL = bytes.fromhex("70a08231")
MINT_CALL = bytes.fromhex("40c10f19")
SWAP_CALL = bytes.fromhex("022c0d9f")
SYNC_EVENT = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
SWAP_EVENT = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")
TRUE = uint(1)


class Payment:
    """A payment to a known account or to an unused address, sometimes with a memo as input."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102 (see Program)
        is_unused = draw[OTHER] < 64  # noqa: PLR2004 (a quarter)
        to = word(draw, 1)[:20] if is_unused else pick(actors.eoas, draw[RECIPIENT])
        memo = word(draw, 2)[: draw[PICK] % 33] if draw[PICK] < 48 else b""  # noqa: PLR2004 (a fifth)
        return Intent(to=to, value=amount(draw[VALUE] | 4, word(draw, 0)), input=memo)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction)

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return ()


class Transfer:
    """An ERC-20 transfer; every second token is a proxy that delegates to the library."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = TRANSFER_CALL + padded(pick(actors.eoas, draw[RECIPIENT])) + uint(self._amount(draw))
        return Intent(to=pick(actors.tokens, draw[PICK]), value=0, input=data)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        draw = transaction.draw
        to = pick(actors.eoas, draw[RECIPIENT])
        topics = (TRANSFER_EVENT, padded(transaction.sender), padded(to))
        return (Log(pick(actors.tokens, draw[PICK]), topics, uint(self._amount(draw))),)

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        call = outermost(transaction, output=TRUE)
        if transaction.draw[PICK] % 2:
            return call
        delegated = inner("DELEGATECALL", call, actors.library, call.input, output=TRUE)
        return call._replace(calls=(delegated,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: D102
        token, recipient = pick(actors.tokens, transaction.draw[PICK]), transaction.draw[RECIPIENT]
        slots = {padded(transaction.sender): True, padded(pick(actors.eoas, recipient)): True, uint(3): False}
        return tuple(Access(token, slot, written) for slot, written in slots.items())

    @staticmethod
    def _amount(draw: bytes) -> int:
        return amount(draw[AMOUNT], word(draw, 0))


class Swap:
    """A swap in a pool: two token transfers by nested calls, a static call, four logs."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = SWAP_CALL + word(draw, 0) + word(draw, 1) + padded(pick(actors.eoas, draw[RECIPIENT])) + uint(128)
        return Intent(to=pick(actors.pools, draw[PICK]), value=amount(draw[VALUE], word(draw, 3)), input=data)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        draw, sender = transaction.draw, padded(transaction.sender)
        address = pick(actors.pools, draw[PICK])
        pool = padded(address)
        first, second = self._tokens(draw, actors)
        sold, bought = uint(amount(draw[AMOUNT], word(draw, 0))), uint(amount(draw[OTHER], word(draw, 1)))
        return (
            Log(first, (TRANSFER_EVENT, sender, pool), sold),
            Log(second, (TRANSFER_EVENT, pool, sender), bought),
            Log(address, (SYNC_EVENT,), word(draw, 2) + word(draw, 3)),
            Log(address, (SWAP_EVENT, sender, sender), sold + bytes(64) + bought),
        )

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        call = outermost(transaction)
        first, second = self._tokens(transaction.draw, actors)
        pool, sender = padded(call.to or b""), padded(transaction.sender)
        transfer_in = inner(
            "CALL", call, first, TRANSFER_FROM_CALL + sender + pool + word(transaction.draw, 0), output=TRUE
        )
        balance_of = inner("STATICCALL", call, second, BALANCE_OF_CALL + pool, output=word(transaction.draw, 2))
        transfer_out = inner("CALL", call, second, TRANSFER_CALL + sender + word(transaction.draw, 1), output=TRUE)
        delegated = inner("DELEGATECALL", transfer_out, actors.library, transfer_out.input, output=TRUE)
        return call._replace(calls=(transfer_in, balance_of, transfer_out._replace(calls=(delegated,))))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: D102
        first, second = self._tokens(transaction.draw, actors)
        pool, sender = pick(actors.pools, transaction.draw[PICK]), padded(transaction.sender)
        return (
            Access(pool, uint(8), written=True),
            Access(pool, uint(6), written=False),
            Access(first, sender, written=True),
            Access(first, padded(pool), written=True),
            Access(second, sender, written=True),
            Access(second, padded(pool), written=True),
        )

    @staticmethod
    def _tokens(draw: bytes, actors: Actors) -> tuple[bytes, bytes]:
        first = draw[PICK] % len(actors.tokens)
        return actors.tokens[first], actors.tokens[(first + 1) % len(actors.tokens)]


class CollectibleTransfer:
    """An ERC-721 transfer, with four topics and no data, and an approval; half of the transfers are mints."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        to, token_id = padded(pick(actors.eoas, draw[RECIPIENT])), uint(amount(draw[AMOUNT] | 4, word(draw, 0)))
        value = amount(draw[VALUE], word(draw, 1))
        return Intent(to=pick(actors.collectibles, draw[PICK]), value=value, input=MINT_CALL + to + token_id)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        address = transaction.to or b""
        to, token_id = transaction.input[4:36], transaction.input[36:68]
        giver = padded(transaction.sender if transaction.draw[OTHER] % 2 else ZERO_ADDRESS)
        return (
            Log(address, (APPROVAL_EVENT, to, padded(actors.registry), token_id), b""),
            Log(address, (TRANSFER_EVENT, giver, to, token_id), b""),
        )

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        call = outermost(transaction)
        allowed = inner("STATICCALL", call, actors.registry, transaction.input[:36], output=TRUE)
        return call._replace(calls=(allowed,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: D102
        address = transaction.to or b""
        return (
            Access(address, transaction.input[36:68], written=True),
            Access(actors.registry, transaction.input[4:36], written=False),
        )
