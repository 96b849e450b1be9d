"""Finds the secrets of a run in any common encoding, and replaces them by `<secret:NAME>`.

A secret is found as it is, in any case, percent-encoded, in hexadecimal, and in base64 at any offset. These are the
encodings in which programs leak secrets by mistake; a deliberate leak can use others.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel

SHORTEST = 12
"""Shorter values are rejected, because they may occur by chance."""
MAX_FORM_BYTES = 1024
"""No encoded form of a secret is longer. The end of a text of this length is searched again with the text after it."""
_BASE64_GROUP = 3


class _Forms(NamedTuple):
    """The encoded forms of a secret: case-sensitive ones, case-insensitive ones, and a pattern for all of them."""

    exact: tuple[str, ...]
    folded: tuple[str, ...]
    pattern: re.Pattern[str]


class Secrets:
    """Values that must not occur in the history, with their names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._forms: dict[str, _Forms] = {}

    def add(self, secrets: Mapping[str, str]) -> None:
        """Add values by name.

        Raises:
            ValueError: a value is so short that it may occur by chance.
        """
        for name, value in secrets.items():
            if len(value) < SHORTEST:
                raise ValueError(f"the secret {name} has under {SHORTEST} characters")
            if value not in self._names:
                self._forms[value] = _forms_of(value)
                # After the forms, and as a new dict, because another thread may be iterating over the names.
                self._names = self._names | {value: name}

    def found_in(self, text: str) -> tuple[str, ...]:
        """Return the names of the secrets in a text."""
        return tuple(sorted({self._names[value] for value in self._values_in(text)}))

    def scrub(self, text: str) -> str:
        """Return a text with every secret replaced."""
        for value in self._values_in(text):
            text = self._forms[value].pattern.sub(f"<secret:{self._names[value]}>", text)
        return text

    def scrubbed(self, value: Any) -> Any:
        """Return a JSON value or a model with every secret replaced, in names of fields, too."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, Mapping):
            return {self.scrub(str(name)): self.scrubbed(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.scrubbed(inner) for inner in value]
        if isinstance(value, tuple):
            return tuple(self.scrubbed(inner) for inner in value)
        if isinstance(value, BaseModel):
            return value.model_copy(update={name: self.scrubbed(inner) for name, inner in value})
        return value

    def _values_in(self, text: str) -> list[str]:
        if len(text) < SHORTEST:
            return []
        lowered = text.lower()
        plain = unquote(lowered) if "%" in lowered else lowered
        found = [
            value for value in self._names
            if any(form in lowered or form in plain for form in self._forms[value].folded)
            or any(form in text for form in self._forms[value].exact)
        ]  # fmt: skip
        # A secret may be part of a longer one, which must be replaced first.
        return sorted(found, key=len, reverse=True)


def _forms_of(value: str) -> _Forms:
    folded = (value.lower(), value.encode().hex())
    encoded = tuple({form for offset in range(_BASE64_GROUP) for form in _base64_forms(value.encode(), offset)})
    any_case = "".join(f"(?:{re.escape(letter)}|{_percent(letter)})" for letter in value)
    pattern = f"(?i:{any_case}|{folded[1]})|{'|'.join(map(re.escape, encoded))}"
    return _Forms(encoded, folded, re.compile(pattern))


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())


def _base64_forms(value: bytes, offset: int) -> tuple[str, str]:
    """Return the part of a value's base64 that does not depend on its neighbours, in both alphabets.

    The value begins `offset` bytes into a group of three.
    """
    skipped = -offset % _BASE64_GROUP
    inner = value[skipped:]
    inner = inner[: len(inner) - len(inner) % _BASE64_GROUP]
    return base64.b64encode(inner).decode(), base64.urlsafe_b64encode(inner).decode()
