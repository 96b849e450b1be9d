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

from cryo_ingest.rpc.limits import BATCH_BYTES, FIRST_BATCH_CALLS, MAX_BATCH_CALLS, AnswerSizes
from cryo_ingest.rpc.methods import key_of

if TYPE_CHECKING:
    from cryo_ingest.ports import Call, Node, NodeError

GATHER_SECONDS = 0.0015
GROUP_BYTES = 2 * BATCH_BYTES
SIZE_DECAY = 0.99
"""For single answers, of which there are many more than of responses."""

Deliver = Callable[["bytes | NodeError | Exception"], None]
"""Takes the answer to one call: the JSON text of its result, the node's error, or the reason for none.

The reason is an IngestError, or any other exception that is a bug of the worker. It must not raise.
"""


@dataclass(slots=True)
class Gatherer:
    """Sends calls to `node` in groups of at most `group_calls` by method; the node makes batches of them.

    At most `max_groups` groups are in flight, so that the calls that wait become larger groups. A group has so many
    calls that their answers have `GROUP_BYTES`; until the size of a method's answers is known, one small group is sent.
    Nothing is sent while `is_full` says that the client has not read what it got before; call `resume` when it has.
    """

    node: Node
    group_calls: int = MAX_BATCH_CALLS
    max_groups: int = 8
    is_full: Callable[[], bool] = lambda: False
    _waiting: dict[str, deque[tuple[Call, Deliver]]] = field(default_factory=dict)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    _answer_sizes: dict[str, AnswerSizes | None] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None
    _closed: bool = False

    def submit(self, call: Call, deliver: Deliver) -> None:
        """Send a call soon; `deliver` is called once, in the event loop, or never if the gatherer is closed."""
        if self._closed:
            return
        waiting = self._waiting.setdefault(call.method, deque())
        waiting.append((call, deliver))
        if len(waiting) >= self.group_calls:
            self.resume(at_least=self.group_calls)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._time_is_over)

    def ask(self, call: Call) -> asyncio.Future[bytes | NodeError]:
        """Send a call; the future gets its answer, or the reason for none."""
        found: asyncio.Future[bytes | NodeError] = asyncio.get_running_loop().create_future()

        def deliver(answer: bytes | NodeError | Exception) -> None:
            if found.done():
                return
            if isinstance(answer, Exception):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        self.submit(call, deliver)
        return found

    async def close(self) -> None:
        """Cancel what is in flight; nothing is sent or delivered any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    def _time_is_over(self) -> None:
        self._timer = None
        self.resume()

    def resume(self, *, at_least: int = 1) -> None:
        """Send groups while groups may be in flight, of the methods with enough waiting calls."""
        for method, waiting in list(self._waiting.items()):
            while len(waiting) >= at_least and len(self._in_flight) < self.max_groups and not self.is_full():
                limit = self._limit(method)
                if limit == 0:
                    break
                group = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
                task = asyncio.create_task(self._send(method, group))
                self._in_flight.add(task)
                task.add_done_callback(self._ended)
            if not waiting:
                del self._waiting[method]

    def _limit(self, method: str) -> int:
        """Return how many calls the next group may have; 0 while a method's first group is in flight.

        The first group is small where another method's answers are large: where blocks are, receipts are too.
        """
        key = key_of(method)
        if key not in self._answer_sizes:
            others = [sizes.calls_in(GROUP_BYTES) for sizes in self._answer_sizes.values() if sizes is not None]
            self._answer_sizes[key] = None
            return min(FIRST_BATCH_CALLS, self.group_calls, *others)
        sizes = self._answer_sizes[key]
        return 0 if sizes is None else min(self.group_calls, sizes.calls_in(GROUP_BYTES))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if self._timer is None and any(self._waiting.values()):
            self.resume()

    async def _send(self, method: str, group: list[tuple[Call, Deliver]]) -> None:
        unanswered = {index: deliver for index, (_, deliver) in enumerate(group)}

        def answered(index: int, answer: bytes | NodeError) -> None:
            if isinstance(answer, bytes):
                self._sizes(method).observe(1, len(answer))
            unanswered.pop(index)(answer)

        try:
            await self.node.send([(index, call) for index, (call, _) in enumerate(group)], answered, patient=True)
        except Exception as problem:  # noqa: BLE001 - also after a bug, no call may wait for ever
            for deliver in unanswered.values():
                deliver(problem)
        self._sizes(method)  # also after errors: the method's first group is over

    def _sizes(self, method: str) -> AnswerSizes:
        key = key_of(method)
        sizes = self._answer_sizes.get(key)
        if sizes is None:
            sizes = self._answer_sizes[key] = AnswerSizes(decay=SIZE_DECAY)
        return sizes
