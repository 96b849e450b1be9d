"""Programs that occur only with quirks: the deposit of the OP stack, the state sync of Polygon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import AMOUNT, RECIPIENT, VALUE, Intent, amount, outermost, padded, pick, uint, word
from harness.world.values import ZERO_ADDRESS, Access, Frame, Log, Transaction

if TYPE_CHECKING:
    from harness.world.actors import Actors

_SET_L1_VALUES = bytes.fromhex("440a5e20")
_STATE_COMMITTED_EVENT = bytes.fromhex("5a22725590b0a51c923940223f7458512164b1113359a735e86e7f27f44791ee")


class Deposit:
    """The first transaction of every OP stack block: the system sets the attributes of the L1 block."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: D102
        return Intent(to=actors.registry, value=0, input=_SET_L1_VALUES + word(random_bytes, 0) + word(random_bytes, 1))

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: ARG002, D102
        return ()

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction)

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return (Access(transaction.to or b"", uint(1), written=True),)


class StateSync:
    """The last transaction of some Polygon blocks: from and to the zero address, with logs that no bloom contains."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:  # noqa: ARG002, D102
        return Intent(to=ZERO_ADDRESS, value=0, input=b"")

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:  # noqa: D102
        random_bytes = transaction.random_bytes
        to = pick(actors.eoas, random_bytes[RECIPIENT])
        return (
            Log(actors.registry, (_STATE_COMMITTED_EVENT, uint(random_bytes[AMOUNT])), word(random_bytes, 0)),
            Log(
                actors.library,
                (word(random_bytes, 1), padded(to)),
                uint(amount(random_bytes[VALUE], word(random_bytes, 2))),
            ),
        )

    def root(self, transaction: Transaction, actors: Actors) -> Frame:  # noqa: ARG002, D102
        return outermost(transaction)

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:  # noqa: ARG002, D102
        return ()
