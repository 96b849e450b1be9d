"""The dispatcher's secrets: creates them, finds them in other data, and replaces them with labels in what is stored."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

TOKEN_FIELDS = {"lease_token", "capability_token"}
UNKNOWN = "<unknown token>"
SHORTEST = 16
"""A shorter worker token could occur by chance in text without secrets."""


class Tokens:
    """Every token that was ever issued, with its label."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - a seed makes runs repeatable
        self._labels: dict[str, str] = {}
        self._workers: set[str] = set()
        self._leases: set[str] = set()

    def bits(self, count: int) -> int:
        """Return a random number of `count` bits, reproducible with a seed."""
        return self._random.getrandbits(count)

    def worker(self, given: str | None = None) -> str:
        """Create a worker token, or register the given one.

        Raises:
            ValueError: the given one is too short to be recognised in other text.
        """
        if given is not None and len(given) < SHORTEST:
            raise ValueError(f"a worker token must have at least {SHORTEST} characters")
        token = self._register("worker token", given)
        self._workers.add(token)
        return token

    def capability(self, owner: str) -> str:
        """Create the capability token of `attempt N of TASK`."""
        return self._register(f"capability token of {owner}", None)

    def lease(self, owner: str) -> str:
        """Create the lease token of `attempt N of TASK`."""
        token = self._register(f"lease token of {owner}", None)
        self._leases.add(token)
        return token

    @property
    def issued(self) -> dict[str, str]:
        """Every secret that was ever issued, by its label without brackets."""
        return {label.strip("<>"): secret for secret, label in self._labels.items()}

    def was_worker_token(self, token: str) -> bool:
        """Return whether a token is a current or former worker token."""
        return token in self._workers

    def leaked(self, value: Any) -> str | None:
        """Return the label of a worker or capability token in a JSON value, or None."""
        for text in _texts(value):
            for secret, label in self._labels.items():
                if secret in text and secret not in self._leases:
                    return label
        return None

    def scrub(self, value: Any) -> Any:
        """Return a JSON value in which labels replace all tokens, also inside longer texts and field names."""
        if isinstance(value, Mapping):
            return {self.scrub_text(name): self._field(name, inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(inner) for inner in value]
        return self.scrub_text(value) if isinstance(value, str) else value

    def scrub_text(self, text: str) -> str:
        """Return a text in which labels replace all tokens."""
        if len(text) >= SHORTEST:
            for secret, label in self._labels.items():
                text = text.replace(secret, label)
        return text

    def _field(self, name: str, value: Any) -> Any:
        if name in TOKEN_FIELDS and isinstance(value, str):
            # A token that was not issued here may be a secret of another system.
            return self._labels.get(value, UNKNOWN)
        return self.scrub(value)

    def _register(self, label: str, given: str | None) -> str:
        secret = given or f"{self._random.getrandbits(256):064x}"
        self._labels[secret] = f"<{label}>"
        return secret


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value that is long enough to contain a token, field names included."""
    if isinstance(value, str):
        return [value] if len(value) >= SHORTEST else []
    if isinstance(value, Mapping):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    return []
