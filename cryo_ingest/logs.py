"""Structured logs on standard error, one event for each step; redaction is the last step before rendering.

The format is JSON, or a console format on a terminal. Standard output is only for the publication.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import TextIO

    from cryo_ingest.redact import Redactor
    from cryo_ingest.settings import LogFormat

Listener = Callable[[Mapping[str, Any]], None]

log: structlog.stdlib.BoundLogger = structlog.get_logger("cryo_ingest")


def configure(
    log_format: LogFormat | None,
    redactor: Redactor,
    *,
    file: TextIO | None = None,
    listener: Listener | None = None,
    quiet: bool = False,
) -> None:
    """Send events to standard error; the default format is console on a terminal and JSON otherwise.

    With `file` they go there as JSON instead. `listener` gets each redacted event too. With `quiet` only errors count.
    """
    console = file is None and (log_format == "console" or (log_format is None and sys.stderr.isatty()))
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )

    def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: _redacted(value, redactor) for name, value in event.items()}

    def listen(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if listener is not None:
            listener(event)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            listen,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR if quiet else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", LossyStream(sys.stderr if file is None else file))),
        cache_logger_on_first_use=False,
    )


def default_log_file(command: str) -> Path:
    """Return the file for the log of a command that shows its progress: the last one's of this user."""
    home = os.environ.get("XDG_STATE_HOME") or str(
        Path(os.environ.get("HOME") or tempfile.gettempdir()) / ".local/state"
    )
    return Path(home) / "cryo-ingest" / f"{command}.log"


def open_log_file(path: Path) -> TextIO:
    """Open a new file for the log of a command that shows its progress; what can't be written is dropped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", buffering=1)
    except OSError:
        return Path(os.devnull).open("w", encoding="utf-8")


class LossyStream:
    """A stream that ignores failed writes: a full disk or a closed pipe must not end an attempt."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write the text; drop it if that fails."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush; ignore a failure."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _redacted(value: object, redactor: Redactor) -> object:
    """Redact text at any depth; other values are unchanged."""
    if isinstance(value, str):
        return redactor(value)
    if isinstance(value, dict):
        return {name: _redacted(item, redactor) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, redactor) for item in value]
    return value
