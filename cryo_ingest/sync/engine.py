"""The interface of an engine, which runs the tasks of a job, and what it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.sync.derived import Blocks
    from cryo_ingest.sync.plan import StreamPlan


@dataclass(frozen=True, slots=True)
class SetAside:
    """A range that the engine gave up, and why; the other ranges went on."""

    stream: str
    blocks: Blocks
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a run of an engine ended; `stopped` if a signal or a pause ended it before all tasks were done."""

    published: frozenset[tuple[str, Blocks]]
    rows: int
    set_aside: tuple[SetAside, ...]
    stopped: bool


Extend = Callable[["StreamPlan"], None]
"""Adds the tasks of a plan to the run of its stream, and replaces the stream's target."""

Feed = Callable[[Extend], Awaitable[None]]
"""Plans more tasks while others run; it may run without end, and is cancelled when the engine drains."""


class Engine(Protocol):
    """Runs tasks; what is published already is not in the plans."""

    async def run(self, plans: Sequence[StreamPlan], *, feed: Feed | None = None) -> Result:
        """Run all tasks of the plans, lowest blocks first, until each is published or set aside.

        A task that fails with a retryable error is tried again. Streams keep to their `max_inflight`. Running it again
        with the same plans publishes nothing twice. With `feed` it also runs the tasks that are added meanwhile, and
        does not end before `feed` has ended.
        """
        ...
