"""Ends a worker that never gives up the processor: virtual time can't pass then, and the run would never end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSOR_SECONDS = 5.0
"""A run takes a hundredth of a second, and one with a second worker and twelve attempts a tenth."""

ENDLESS = "the worker ran on and on, without waiting for anything"


class Endless(KeyboardInterrupt):
    """A run used `PROCESSOR_SECONDS` of the processor without an end.

    An interrupt, since an event loop passes only such exceptions of a task on to its caller, and no handler of a worker
    takes them.
    """


@dataclass(slots=True)
class Watchdog:
    """Whether a run was endless: what it does when it is interrupted may hide the exception."""

    is_endless: bool = False


@contextmanager
def watched(seconds: float) -> Iterator[Watchdog]:
    """Raise `Endless` in what runs, again and again, once it has used `seconds` of the processor.

    Time in which other processes run doesn't count, so that the load of a machine changes no run. Only the main thread
    gets signals; elsewhere nothing is watched.
    """
    watchdog = Watchdog()
    if threading.current_thread() is not threading.main_thread():
        yield watchdog
        return

    def interrupt(*_: object) -> None:
        watchdog.is_endless = True
        raise Endless(ENDLESS)

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        yield watchdog
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)
