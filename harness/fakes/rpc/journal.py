"""The journal of a pool: one record for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from harness.faults import RpcFault


class Call(NamedTuple):
    """One call, recorded before it is answered.

    `at` is monotonic seconds, `blocks` the inclusive range of requested blocks if it is known, `fault` the fault that
    applies to the call. `request` counts the HTTP requests of the pool, so the calls of a batch have the same;
    `connection` counts its connections.
    """

    number: int
    at: float
    node: str
    method: str
    params: Any
    blocks: tuple[int, int] | None
    fault: RpcFault | None
    request: int = 0
    connection: int = 0
