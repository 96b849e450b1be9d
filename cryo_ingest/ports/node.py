"""The interfaces of the nodes that an attempt reads from."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryo_ingest.meter import RpcMeter


@dataclass(frozen=True, slots=True)
class Call:
    """One JSON-RPC call."""

    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeError:
    """A JSON-RPC error object that a single call received as its answer.

    Its message is never repeated (SEC-1). `method_is_missing`: the message means that the node does not have the
    method.
    """

    code: int
    message: str = field(repr=False)
    method_is_missing: bool = field(default=False, compare=False)


class Node(Protocol):
    """One endpoint of a pool; requests are rate-limited, and retried until the attempt's deadline."""

    @property
    def name(self) -> str:
        """The endpoint's name in messages: its position in the pool, never its URL."""
        ...

    @property
    def billed_calls(self) -> int:
        """The number of calls sent so far, including retries."""
        ...

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Return the answer to each call, in the order of the calls: its `result` as untrusted JSON, or a NodeError.

        A NodeError is returned only if a single call received it and a retry would not change it: the method is
        missing, the parameters or the block tag are invalid, the node does not have the data. All other errors (rate
        limits, internal errors, a block that the node does not know yet) are retried until the attempt's deadline.
        With `quick` the retries end sooner: the caller can use another endpoint. With `optional` the caller has another
        source: an error object that a single call receives for some seconds is returned as its NodeError.

        Raises:
            NodeUnavailable: a call received no answer, or only temporary errors.
            EndpointUnusable: the endpoint redirects to another host.
        """
        ...

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Send calls, each with an index, and call `deliver` with index and answer as soon as a call is answered.

        An answer is the JSON text of the result, or a NodeError as with `optional` in `request`. Without `patient` it
        gives up after a second or so: another endpoint may serve.

        Raises:
            NodeUnavailable, EndpointUnusable: some calls have no answer; what was delivered remains valid.
        """
        ...


class Limiter(Protocol):
    """A limit on the rate of calls that several endpoints share."""

    async def acquire(self, calls: int) -> None:
        """Wait until so many calls may be sent."""
        ...


FindOther = Callable[[], Awaitable[Node | None]]
"""Returns another endpoint of the pool that may serve the same attempt, None if there is none."""


class Chain(Protocol):
    """Opens the endpoints of a pool."""

    @property
    def meter(self) -> RpcMeter:
        """Count what is sent to all endpoints."""
        ...

    def open(
        self,
        url: str,
        *,
        name: str,
        deadline: float,
        limiter: Limiter | None = None,
        find_other: FindOther | None = None,
    ) -> AbstractAsyncContextManager[Node]:
        """Open one endpoint, whose requests end at the monotonic time `deadline`; nothing is sent yet.

        `limiter` is the one that all endpoints of an attempt share; by default the configured limit applies to this
        endpoint alone. `find_other` says whom to ask for what this endpoint leaves unanswered for unusually long.

        Raises:
            EndpointUnusable: it is not an HTTP URL.
        """
        ...
