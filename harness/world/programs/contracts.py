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


def _init_code(draw: bytes, code: bytes) -> bytes:
    return _INIT + draw[OTHER : OTHER + 1] + code


class Create:
    """A transaction that creates a contract; the constructor makes a payment and emits logs without topics or data."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        code = _init_code(draw, pick(actors.codes, draw[PICK]))
        return Intent(to=None, value=amount(draw[VALUE], word(draw, 3)), input=code)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        created = transaction.draw[CONTRACT]
        return (Log(created, (), b""), Log(created, (word(transaction.draw, 2),), transaction.hash))

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        draw = transaction.draw
        created, code = draw[CONTRACT], pick(actors.codes, draw[PICK])
        call = outermost(transaction, op="CREATE", to=created, output=code)
        share = inner("CALL", call, pick(actors.eoas, draw[RECIPIENT]), b"", value=transaction.value // 2)
        return call._replace(calls=(share,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(transaction.draw[CONTRACT], uint(0), written=True),)


class Deploy:
    """A factory that creates a contract with CREATE2 and calls it."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        data = DEPLOY_CALL + word(draw, 2) + _init_code(draw, pick(actors.codes, draw[RECIPIENT]))
        return Intent(to=pick(actors.factories, draw[PICK]), value=amount(draw[VALUE], word(draw, 3)), input=data)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        created = transaction.draw[CONTRACT]
        return (Log(transaction.to or b"", (word(transaction.draw, 2), bytes(12) + created), b""),)

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        draw = transaction.draw
        call = outermost(transaction, output=bytes(12) + draw[CONTRACT])
        code = pick(actors.codes, draw[RECIPIENT])
        created = inner("CREATE2", call, draw[CONTRACT], _init_code(draw, code), value=transaction.value // 3)
        called = inner("CALL", call, created.to, draw[OTHER : OTHER + 4], output=word(draw, 0))
        return call._replace(calls=(created._replace(output=code), called))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (
            Access(transaction.to or b"", uint(1), written=True),
            Access(transaction.draw[CONTRACT], uint(0), written=True),
        )


class Destroy:
    """A call that makes a contract destroy itself and send its balance to an account."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: ARG002, D102
        return Intent(to=self._contract(draw), value=0, input=DESTROY_CALL + word(draw, 0))

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: D102
        draw = transaction.draw
        call = outermost(transaction)
        beneficiary, balance = pick(actors.eoas, draw[RECIPIENT]), amount(draw[VALUE] | 4, word(draw, 3))
        end = inner("SELFDESTRUCT", call, beneficiary, b"", value=balance, gas=0, gas_used=0)
        return call._replace(calls=(end,))

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(self._contract(transaction.draw), uint(2), written=True),)

    @staticmethod
    def _contract(draw: bytes) -> bytes:
        """Return a contract that no other transaction uses, so that it can be destroyed."""
        return draw[CONTRACT]


class FailedCreate:
    """A creation that runs out of gas: no contract, no address in the receipt, no result in the trace."""

    def intent(self, draw: bytes, actors: Actors) -> Intent:  # noqa: D102
        return Intent(to=None, value=0, input=_init_code(draw, pick(actors.codes, draw[PICK])), success=False)

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction, op="CREATE", to=None, error="out of gas")

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return ()
