"""Removes secrets from Cryo's output, foreign errors and log events (SEC-1).

`Settings.secrets` defines what is secret.
"""

from __future__ import annotations

import base64
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPLACEMENT = "<redacted>"

MIN_PART = 4
"""Shorter parts of a URL (`v2`, `rpc`) are too common to be keys; removing them would make text unreadable."""

_ANY_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>|]+", re.IGNORECASE)


class Redactor:
    """Replaces every known secret, every part of a secret URL, and all other URLs, ignoring case.

    Case is ignored because hosts, hexadecimal keys and `%2f` may be printed in another case.

    Secrets that arrive at run time are known during a `with redactor.with_secrets(…)` block.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = list(secrets)
        self._known = _pattern(self._secrets)

    @contextmanager
    def with_secrets(self, *secrets: str) -> Iterator[None]:
        """Add secrets until the block ends; blocks of several tasks may overlap."""
        self._secrets += secrets
        self._known = _pattern(self._secrets)
        try:
            yield
        finally:
            for secret in secrets:
                self._secrets.remove(secret)
            self._known = _pattern(self._secrets)

    def __call__(self, text: str) -> str:
        """Return `text` without secrets."""
        text = _ANY_URL.sub(REPLACEMENT, text)
        return self._known.sub(REPLACEMENT, text) if self._known else text


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    known = {variant for secret in secrets for variant in _variants(secret) if len(variant) >= MIN_PART}
    longest_first = sorted(known, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if known else None


def _variants(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret can appear: complete, in parts, decoded, as a Basic credential."""
    yield secret
    yield _quoted(secret)
    rest = secret.partition("://")[2] or secret
    try:
        parts = urlsplit("//" + rest)
    except ValueError:
        # A URL that can't be parsed (`http://[::1`) is a secret with a typo: all pieces of it are secret.
        yield from (variant for piece in re.split(r"[/?#@&=:\s]+", rest) for variant in (piece, unquote(piece)))
        yield rest
        return
    user_info, _, host = parts.netloc.rpartition("@")
    yield rest
    yield host
    yield _quoted(host)
    yield parts.path
    yield f"{parts.path}?{parts.query}"
    user, _, password = user_info.partition(":")
    pieces = [user_info, user, password, *parts.path.split("/"), parts.query, parts.fragment]
    pieces += [value for pair in parts.query.split("&") for value in pair.split("=")]
    for piece in pieces:
        yield piece
        yield unquote(piece)
        yield _quoted(piece)
        yield _quoted(unquote(piece))
    if user_info:
        yield base64.b64encode(unquote(user_info).encode(errors="surrogatepass")).decode()


def _quoted(text: str) -> str:
    # An environment can hold bytes that are not UTF-8, which Python represents as lone surrogates.
    return quote(text, safe="", errors="surrogatepass")
