"""SIGTERM and SIGINT: the first calls a function, the second ends the process at once."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def on_first_signal(react: Callable[[signal.Signals], None]) -> None:
    """Call `react` in the running loop at the first of the two signals; the next one has its default effect.

    It runs as an ordinary callback of the loop, not inside a signal handler.
    """
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        react(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
