"""Wake-ups that wait to be sent to the queue; those that fail are kept and sent again."""

from __future__ import annotations

from typing import Protocol


class Wakeups(Protocol):
    """A queue that takes wake-ups."""

    def send(self, task_id: str) -> None:
        """Enqueue `{"task_id": …}`."""
        ...


class Outbox:
    """The wake-ups to send, each `copies` times; without a queue there are none."""

    def __init__(self, queue: Wakeups | None, copies: int) -> None:
        self._queue, self._copies = queue, copies
        self._waiting: list[str] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task_id: str) -> None:
        """Add a wake-up for the next `send`."""
        self._waiting += [task_id] * (self._copies if self._queue else 0)

    def send(self) -> None:
        """Send all wake-ups.

        Raises:
            Exception: from the queue; what was not sent is kept.
        """
        while self._queue is not None and self._waiting:
            self._queue.send(self._waiting[0])
            del self._waiting[0]
