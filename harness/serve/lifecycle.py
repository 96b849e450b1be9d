"""Run until SIGTERM or SIGINT, and then leave all `with` blocks in order."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


FAILED = 1
"""The exit code if a server could not be started."""


class StopRequested(Exception):
    """SIGTERM or SIGINT was received."""


def handle_signals() -> None:
    """Make the first SIGTERM or SIGINT raise `StopRequested` in the main thread, and ignore all later ones."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def wait_for_stop() -> NoReturn:
    """Wait until `StopRequested` is raised."""
    while True:
        threading.Event().wait()


def print_lines(lines: Iterable[str]) -> None:
    """Print lines and flush, since another program may be waiting for them."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def exports(variables: Mapping[str, str]) -> list[str]:
    """Return shell commands that export an environment."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def print_to_stderr(text: str) -> None:
    """Print a line on standard error and flush."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _stop(*_: Any) -> None:
    # A second signal must not interrupt the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise StopRequested
