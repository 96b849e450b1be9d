"""Running until SIGTERM or SIGINT with everything ended in order, whatever `with` blocks are open."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


FAILED = 1
"""The exit code of what could not be started."""


class StopRequested(Exception):
    """SIGTERM or SIGINT came."""


def handle_signals() -> None:
    """Make the first SIGTERM or SIGINT raise `StopRequested` in the main thread, and ignore all later ones."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def wait_for_the_end() -> NoReturn:
    """Wait until `StopRequested` is raised."""
    while True:
        threading.Event().wait()


def print_lines(lines: Iterable[str]) -> None:
    """Print lines that another program may be waiting for."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def exports(variables: Mapping[str, str]) -> list[str]:
    """Return the shell's lines that export an environment."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def say(text: str) -> None:
    """Tell whoever watches, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _stop(*_: Any) -> None:
    # Once: what follows is the clearing up, which a second signal must not break off.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise StopRequested
