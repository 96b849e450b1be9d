"""The journal of a pool: one record for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from harness.faults import RpcFault


class Call(NamedTuple):
    """One call, written down before it is answered.

    `at` is monotonic seconds, `blocks` the inclusive range of blocks that it is about where that can be said, `fault`
    the one that applies to it.
    """

    number: int
    at: float
    node: str
    method: str
    params: Any
    blocks: tuple[int, int] | None
    fault: RpcFault | None
