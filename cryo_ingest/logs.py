"""Structured logs on standard error: one event name a step, redacted last of all.

JSON where nobody watches, a console format on a terminal. Standard output belongs to the publication alone.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import TextIO

    from cryo_ingest.redact import Redactor
    from cryo_ingest.settings import LogFormat

log: structlog.stdlib.BoundLogger = structlog.get_logger("cryo_ingest")


def configure(log_format: LogFormat | None, redactor: Redactor) -> None:
    """Send events to standard error; without a format, a terminal gets the console one and all else JSON."""
    console = log_format == "console" or (log_format is None and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )

    def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: _redacted(value, redactor) for name, value in event.items()}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Sink(sys.stderr))),
        cache_logger_on_first_use=False,
    )


class Sink:
    """A stream whose failures are nobody's: a full disk below the log, or a reader that went away, ends no attempt."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or lose the text."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, or lose what is left."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _redacted(value: object, redactor: Redactor) -> object:
    """Redact text at any depth; numbers and the like pass."""
    if isinstance(value, str):
        return redactor(value)
    if isinstance(value, dict):
        return {name: _redacted(item, redactor) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, redactor) for item in value]
    return value
