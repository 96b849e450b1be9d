"""The secrets of a run: found wherever they come, in any plain coding, and replaced by `<secret:NAME>`.

Found are the text itself in any case, percent-encoded, in hexadecimal, and in base64 at any offset. That is what
programs do by mistake; who means to smuggle a secret out can always write it otherwise.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel

SHORTEST = 12
"""A shorter value may come by chance: whoever makes the secrets of a world makes them longer."""
LONGEST_FORM_BYTES = 1024
"""No form of a secret of a world is longer: of a text that is cut, so much is looked at again with what follows."""
_BASE64_GROUP = 3


class _Forms(NamedTuple):
    """How one secret may be written: what is told apart by case, what is not, and a pattern of all of it."""

    exact: tuple[str, ...]
    folded: tuple[str, ...]
    pattern: re.Pattern[str]


class Secrets:
    """The values that nothing of a run may hold, by name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._forms: dict[str, _Forms] = {}

    def add(self, secrets: Mapping[str, str]) -> None:
        """Learn values by name.

        Raises:
            ValueError: a value is too short to be told from other text.
        """
        for name, value in secrets.items():
            if len(value) < SHORTEST:
                raise ValueError(f"the secret {name} has under {SHORTEST} characters")
            if value not in self._names:
                self._forms[value] = _forms_of(value)
                # Last: another thread may be looking through the names just now.
                self._names = self._names | {value: name}

    def found_in(self, text: str) -> tuple[str, ...]:
        """Name the secrets that a text holds."""
        return tuple(sorted({self._names[value] for value in self._values_in(text)}))

    def scrub(self, text: str) -> str:
        """Return a text without secrets."""
        for value in self._values_in(text):
            text = self._forms[value].pattern.sub(f"<secret:{self._names[value]}>", text)
        return text

    def scrubbed(self, value: Any) -> Any:
        """Return any JSON value, or a model of such, without secrets; names of fields too."""
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
        # One may be part of another, which is then replaced first.
        return sorted(found, key=len, reverse=True)


def _forms_of(value: str) -> _Forms:
    folded = (value.lower(), value.encode().hex())
    encoded = tuple({form for offset in range(_BASE64_GROUP) for form in _base64_forms(value.encode(), offset)})
    either = "".join(f"(?:{re.escape(letter)}|{_percent(letter)})" for letter in value)
    pattern = f"(?i:{either}|{folded[1]})|{'|'.join(map(re.escape, encoded))}"
    return _Forms(encoded, folded, re.compile(pattern))


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())


def _base64_forms(value: bytes, offset: int) -> tuple[str, str]:
    """Return what is sure of a value's base64 where it stands `offset` bytes into a group: in both alphabets."""
    skipped = -offset % _BASE64_GROUP
    inner = value[skipped:]
    inner = inner[: len(inner) - len(inner) % _BASE64_GROUP]
    return base64.b64encode(inner).decode(), base64.urlsafe_b64encode(inner).decode()
