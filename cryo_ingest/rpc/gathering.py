"""Gathers the calls that wait at the same time into batches, and hands each call its answer.

Cryo sends one call in each of its requests, many at a time. A call waits here for at most `GATHER_SECONDS`, until
enough calls of its method wait, or until a batch that is in flight returns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import IngestError

if TYPE_CHECKING:
    from cryo_ingest.ports import Call, Node, NodeError

GATHER_SECONDS = 0.0015
BATCH_CALLS = 250

Deliver = Callable[["bytes | NodeError | IngestError"], None]
"""Takes the answer to one call: the JSON text of its result, the node's error, or why there is no answer."""


@dataclass(slots=True)
class Gatherer:
    """Sends calls to `node` in groups of at most `group_calls` by method; the node makes batches of them.

    At most `max_groups` groups are in flight, so that the calls that wait become larger groups.
    """

    node: Node
    group_calls: int = BATCH_CALLS
    max_groups: int = 8
    _waiting: dict[str, deque[tuple[Call, Deliver]]] = field(default_factory=dict)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    _timer: asyncio.TimerHandle | None = None

    def submit(self, call: Call, deliver: Deliver) -> None:
        """Send a call soon; `deliver` is called once, in the event loop."""
        waiting = self._waiting.setdefault(call.method, deque())
        waiting.append((call, deliver))
        if len(waiting) >= self.group_calls:
            self._send_waiting(at_least=self.group_calls)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._time_is_over)

    async def ask(self, call: Call) -> bytes | NodeError:
        """Send a call and return its answer.

        Raises:
            IngestError: there is none.
        """
        found: asyncio.Future[bytes | NodeError] = asyncio.get_running_loop().create_future()

        def deliver(answer: bytes | NodeError | IngestError) -> None:
            if found.done():
                return
            if isinstance(answer, IngestError):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        self.submit(call, deliver)
        return await found

    async def close(self) -> None:
        """Cancel what is in flight; nothing is delivered any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    def _time_is_over(self) -> None:
        self._timer = None
        self._send_waiting(at_least=1)

    def _send_waiting(self, *, at_least: int) -> None:
        """Send groups while groups may be in flight, of the methods with enough waiting calls."""
        for waiting in self._waiting.values():
            while len(waiting) >= at_least and len(self._in_flight) < self.max_groups:
                group = [waiting.popleft() for _ in range(min(self.group_calls, len(waiting)))]
                task = asyncio.create_task(self._send(group))
                self._in_flight.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if self._timer is None and any(self._waiting.values()):
            self._send_waiting(at_least=1)

    async def _send(self, group: list[tuple[Call, Deliver]]) -> None:
        unanswered = {index: deliver for index, (_, deliver) in enumerate(group)}

        def answered(index: int, answer: bytes | NodeError) -> None:
            unanswered.pop(index)(answer)

        try:
            await self.node.send([(index, call) for index, (call, _) in enumerate(group)], answered, patient=True)
        except IngestError as problem:
            for deliver in unanswered.values():
                deliver(problem)
