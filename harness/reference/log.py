"""JSON lines on standard error, with all secrets redacted (SEC-1)."""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.reference.bugs import has_bug

URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)\]]+", re.IGNORECASE)
MIN_SECRET_CHARACTERS = 6


class Log:
    """Writes events and redacts secrets in them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def hide(self, *secrets: str | None) -> None:
        """Add secrets to redact; for a URL also its parts that may contain a key."""
        for secret in filter(None, secrets):
            parts_to_hide = {secret}
            if "://" in secret:
                parts = urlsplit(secret)
                words = [parts.username or "", parts.password or "", parts.query, *re.split(r"[/=&]", parts.path)]
                parts_to_hide |= {*words, *re.split(r"[=&]", parts.query), parts.path.strip("/"), secret.rstrip("/")}
            with self._lock:
                self._secrets |= {
                    form
                    for word in parts_to_hide
                    for form in (word, unquote(word))
                    if len(form) >= MIN_SECRET_CHARACTERS
                }

    def clean(self, text: str) -> str:
        """Return a text without URLs and secrets."""
        if has_bug("logs-are-raw"):
            return text
        text = URL.sub("[url]", text)
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def write(self, event: str, **fields: Any) -> None:
        """Write one event."""
        cleaned = {name: self.clean(value) if isinstance(value, str) else value for name, value in fields.items()}
        with self._lock:
            sys.stderr.write(json.dumps({"event": event, **cleaned}) + "\n")
            sys.stderr.flush()
