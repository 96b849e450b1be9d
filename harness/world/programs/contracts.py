"""Programs that create and destroy contracts: creation, CREATE2 by a factory, self-destruction, failed creation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import (
    CONTRACT,
    OTHER,
    PICK,
    RECIPIENT,
    VALUE,
    Intent,
    amount,
    inner,
    outermost,
    pick,
    uint,
    word,
)
from harness.world.values import Access, Frame, Log, Transaction

if TYPE_CHECKING:
    from harness.world.actors import Actors

_INIT = bytes.fromhex("6080604052")
DEPLOY_CALL = bytes.fromhex("9c4ae2d0")
DESTROY_CALL = bytes.fromhex("83197ef0")


def _init_code(random_bytes: bytes, code: bytes) -> bytes:
    return _INIT + random_bytes[OTHER : OTHER + 1] + code


class Create:
    """A transaction that creates a contract; the constructor makes a payment and emits logs without topics or data."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        code = _init_code(random_bytes, pick(actors.codes, random_bytes[PICK]))
        return Intent(to=None, value=amount(random_bytes[VALUE], word(random_bytes, 3)), input=code)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        created = transaction.random_bytes[CONTRACT]
        return (Log(created, (), b""), Log(created, (word(transaction.random_bytes, 2),), transaction.hash))

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        random_bytes = transaction.random_bytes
        created, code = random_bytes[CONTRACT], pick(actors.codes, random_bytes[PICK])
        call = outermost(transaction, op="CREATE", to=created, output=code)
        share = inner("CALL", call, pick(actors.eoas, random_bytes[RECIPIENT]), b"", value=transaction.value // 2)
        return call._replace(calls=(share,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(transaction.random_bytes[CONTRACT], uint(0), written=True),)


class Deploy:
    """A factory that creates a contract with CREATE2 and calls it."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = (
            DEPLOY_CALL + word(random_bytes, 2) + _init_code(random_bytes, pick(actors.codes, random_bytes[RECIPIENT]))
        )
        return Intent(
            to=pick(actors.factories, random_bytes[PICK]),
            value=amount(random_bytes[VALUE], word(random_bytes, 3)),
            input=data,
        )

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        created = transaction.random_bytes[CONTRACT]
        return (Log(transaction.to or b"", (word(transaction.random_bytes, 2), bytes(12) + created), b""),)

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        random_bytes = transaction.random_bytes
        call = outermost(transaction, output=bytes(12) + random_bytes[CONTRACT])
        code = pick(actors.codes, random_bytes[RECIPIENT])
        created = inner(
            "CREATE2", call, random_bytes[CONTRACT], _init_code(random_bytes, code), value=transaction.value // 3
        )
        called = inner("CALL", call, created.to, random_bytes[OTHER : OTHER + 4], output=word(random_bytes, 0))
        return call._replace(calls=(created._replace(output=code), called))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (
            Access(transaction.to or b"", uint(1), written=True),
            Access(transaction.random_bytes[CONTRACT], uint(0), written=True),
        )


class Destroy:
    """A call that makes a contract destroy itself and send its balance to an account."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: ARG002, D102
        return Intent(to=self._contract(random_bytes), value=0, input=DESTROY_CALL + word(random_bytes, 0))

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        random_bytes = transaction.random_bytes
        call = outermost(transaction)
        beneficiary, balance = (
            pick(actors.eoas, random_bytes[RECIPIENT]),
            amount(random_bytes[VALUE] | 4, word(random_bytes, 3)),
        )
        end = inner("SELFDESTRUCT", call, beneficiary, b"", value=balance, gas=0, gas_used=0)
        return call._replace(calls=(end,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(self._contract(transaction.random_bytes), uint(2), written=True),)

    @staticmethod
    def _contract(random_bytes: bytes) -> bytes:
        """Return a contract that no other transaction uses, so that it can be destroyed."""
        return random_bytes[CONTRACT]


class FailedCreate:
    """A creation that runs out of gas: no contract, no address in the receipt, no result in the trace."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        return Intent(
            to=None, value=0, input=_init_code(random_bytes, pick(actors.codes, random_bytes[PICK])), success=False
        )

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction, op="CREATE", to=None, error="out of gas")

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return ()
