"""A block's traces in the format of Parity's trace module: one list per block, each trace with its path of calls."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from harness.world.entropy import STATE
from harness.world.state import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain
    from harness.world.values import Frame, Transaction

PARITY_ERROR_MESSAGES = {"revert": "Reverted", "out of gas": "Out of gas"}
CALL_TYPES = {"CALL": "call", "CALLCODE": "callcode", "DELEGATECALL": "delegatecall", "STATICCALL": "staticcall"}


class Trace(NamedTuple):
    """One trace; `trace_address` is its path in the call tree.

    For a block reward, which `author` receives, `transaction` and `frame` are None.
    """

    transaction: Transaction | None
    frame: Frame | None
    trace_address: tuple[int, ...]
    author: bytes
    reward: int

    @property
    def kind(self) -> str:
        """The type of the trace, in Parity's terms."""
        if self.frame is None:
            return "reward"
        if self.frame.op.startswith("CREATE"):
            return "create"
        return "suicide" if self.frame.op == "SELFDESTRUCT" else "call"

    @property
    def error(self) -> str | None:
        """The error, in Parity's terms; None if the call succeeded."""
        return None if self.frame is None or self.frame.error is None else PARITY_ERROR_MESSAGES[self.frame.error]


@lru_cache(maxsize=2048)
def traces(chain: Chain, number: int) -> tuple[Trace, ...]:
    """Return a block's traces in the order in which a node returns them; the reward, if any, is the last one."""
    author = chain.header(number).author
    listed = [
        Trace(transaction, frame, trace_address, author, 0)
        for transaction in chain.transactions(number)
        for frame, trace_address in _frames_depth_first(root_of(chain, transaction), ())
    ]
    if chain.quirks.block_rewards and number:
        amount = 2 * 10**18 + chain.entropy(number).bytes_for(STATE, b"reward" + author)[0]
        listed.append(Trace(None, None, (), author, amount))
    return tuple(listed)


def _frames_depth_first(frame: Frame, trace_address: tuple[int, ...]) -> Iterator[tuple[Frame, tuple[int, ...]]]:
    yield frame, trace_address
    for index, call in enumerate(frame.calls):
        yield from _frames_depth_first(call, (*trace_address, index))
