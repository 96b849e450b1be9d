"""Wake-ups on their way to the queue: what it does not take stays and is sent again."""

from __future__ import annotations

from typing import Protocol


class Wakeups(Protocol):
    """Where wake-ups go: a queue."""

    def send(self, task_id: str) -> None:
        """Enqueue `{"task_id": …}`."""
        ...


class Outbox:
    """What is to be sent, each wake-up `copies` times; without a queue, nothing."""

    def __init__(self, queue: Wakeups | None, copies: int) -> None:
        self._queue, self._copies = queue, copies
        self._waiting: list[str] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task_id: str) -> None:
        """Have a wake-up sent by the next `send`."""
        self._waiting += [task_id] * (self._copies if self._queue else 0)

    def send(self) -> None:
        """Send what is to be sent.

        Raises:
            Exception: the queue's own; what was not taken stays.
        """
        while self._queue is not None and self._waiting:
            self._queue.send(self._waiting[0])
            del self._waiting[0]
