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

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102 (see Program)
        is_unused = random_bytes[OTHER] < 64  # noqa: PLR2004 (a quarter)
        to = word(random_bytes, 1)[:20] if is_unused else pick(actors.eoas, random_bytes[RECIPIENT])
        memo = word(random_bytes, 2)[: random_bytes[PICK] % 33] if random_bytes[PICK] < 48 else b""  # noqa: PLR2004 (a fifth)
        return Intent(to=to, value=amount(random_bytes[VALUE] | 4, word(random_bytes, 0)), input=memo)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction)

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return ()


class Transfer:
    """An ERC-20 transfer; every second token is a proxy that delegates to the library."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = TRANSFER_CALL + padded(pick(actors.eoas, random_bytes[RECIPIENT])) + uint(self._amount(random_bytes))
        return Intent(to=pick(actors.tokens, random_bytes[PICK]), value=0, input=data)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        random_bytes = transaction.random_bytes
        to = pick(actors.eoas, random_bytes[RECIPIENT])
        topics = (TRANSFER_EVENT, padded(transaction.sender), padded(to))
        return (Log(pick(actors.tokens, random_bytes[PICK]), topics, uint(self._amount(random_bytes))),)

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        call = outermost(transaction, output=TRUE)
        if transaction.random_bytes[PICK] % 2:
            return call
        delegated = inner("DELEGATECALL", call, actors.library, call.input, output=TRUE)
        return call._replace(calls=(delegated,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: D102
        token, recipient = pick(actors.tokens, transaction.random_bytes[PICK]), transaction.random_bytes[RECIPIENT]
        slots = {padded(transaction.sender): True, padded(pick(actors.eoas, recipient)): True, uint(3): False}
        return tuple(Access(token, slot, written) for slot, written in slots.items())

    @staticmethod
    def _amount(random_bytes: bytes) -> int:
        return amount(random_bytes[AMOUNT], word(random_bytes, 0))


class Swap:
    """A swap in a pool: two token transfers by nested calls, a static call, four logs."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = (
            SWAP_CALL
            + word(random_bytes, 0)
            + word(random_bytes, 1)
            + padded(pick(actors.eoas, random_bytes[RECIPIENT]))
            + uint(128)
        )
        return Intent(
            to=pick(actors.pools, random_bytes[PICK]),
            value=amount(random_bytes[VALUE], word(random_bytes, 3)),
            input=data,
        )

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        random_bytes, sender = transaction.random_bytes, padded(transaction.sender)
        address = pick(actors.pools, random_bytes[PICK])
        pool = padded(address)
        first, second = self._tokens(random_bytes, actors)
        sold, bought = (
            uint(amount(random_bytes[AMOUNT], word(random_bytes, 0))),
            uint(amount(random_bytes[OTHER], word(random_bytes, 1))),
        )
        return (
            Log(first, (TRANSFER_EVENT, sender, pool), sold),
            Log(second, (TRANSFER_EVENT, pool, sender), bought),
            Log(address, (SYNC_EVENT,), word(random_bytes, 2) + word(random_bytes, 3)),
            Log(address, (SWAP_EVENT, sender, sender), sold + bytes(64) + bought),
        )

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        call = outermost(transaction)
        first, second = self._tokens(transaction.random_bytes, actors)
        pool, sender = padded(call.to or b""), padded(transaction.sender)
        transfer_in = inner(
            "CALL", call, first, TRANSFER_FROM_CALL + sender + pool + word(transaction.random_bytes, 0), output=TRUE
        )
        balance_of = inner("STATICCALL", call, second, BALANCE_OF_CALL + pool, output=word(transaction.random_bytes, 2))
        transfer_out = inner(
            "CALL", call, second, TRANSFER_CALL + sender + word(transaction.random_bytes, 1), output=TRUE
        )
        delegated = inner("DELEGATECALL", transfer_out, actors.library, transfer_out.input, output=TRUE)
        return call._replace(calls=(transfer_in, balance_of, transfer_out._replace(calls=(delegated,))))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: D102
        first, second = self._tokens(transaction.random_bytes, actors)
        pool, sender = pick(actors.pools, transaction.random_bytes[PICK]), padded(transaction.sender)
        return (
            Access(pool, uint(8), written=True),
            Access(pool, uint(6), written=False),
            Access(first, sender, written=True),
            Access(first, padded(pool), written=True),
            Access(second, sender, written=True),
            Access(second, padded(pool), written=True),
        )

    @staticmethod
    def _tokens(random_bytes: bytes, actors: Actors) -> tuple[bytes, bytes]:
        first = random_bytes[PICK] % len(actors.tokens)
        return actors.tokens[first], actors.tokens[(first + 1) % len(actors.tokens)]


class CollectibleTransfer:
    """An ERC-721 transfer, with four topics and no data, and an approval; half of the transfers are mints."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        to, token_id = (
            padded(pick(actors.eoas, random_bytes[RECIPIENT])),
            uint(amount(random_bytes[AMOUNT] | 4, word(random_bytes, 0))),
        )
        value = amount(random_bytes[VALUE], word(random_bytes, 1))
        return Intent(to=pick(actors.collectibles, random_bytes[PICK]), value=value, input=MINT_CALL + to + token_id)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        address = transaction.to or b""
        to, token_id = transaction.input[4:36], transaction.input[36:68]
        giver = padded(transaction.sender if transaction.random_bytes[OTHER] % 2 else ZERO_ADDRESS)
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
