"""Structured logs on standard error, one event for each step; redaction is the last step before rendering.

The format is JSON, or a console format on a terminal. Standard output is only for the publication.
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
    """Send events to standard error; the default format is console on a terminal and JSON otherwise."""
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
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", LossyStream(sys.stderr))),
        cache_logger_on_first_use=False,
    )


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
