"""The dispatcher's secrets: made here, known again wherever they turn up, and labels wherever something is kept."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

TOKEN_FIELDS = {"lease_token", "capability_token"}
UNKNOWN = "<unknown token>"
SHORTEST = 16
"""A worker token shorter than this would be found in text that holds no secret."""


class Tokens:
    """Every token that was ever given out, with its label."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - so that a run repeats
        self._labels: dict[str, str] = {}
        self._workers: set[str] = set()
        self._leases: set[str] = set()

    def bits(self, count: int) -> int:
        """Return a random number, reproducible where a seed was given."""
        return self._random.getrandbits(count)

    def worker(self, given: str | None = None) -> str:
        """Make a worker token, or take the one given.

        Raises:
            ValueError: the one given is too short to be told from other text.
        """
        if given is not None and len(given) < SHORTEST:
            raise ValueError(f"a worker token has {SHORTEST} characters or more")
        token = self._keep("worker token", given)
        self._workers.add(token)
        return token

    def capability(self, owner: str) -> str:
        """Make the capability of `attempt N of TASK`."""
        return self._keep(f"capability token of {owner}", None)

    def lease(self, owner: str) -> str:
        """Make the lease token of `attempt N of TASK`."""
        token = self._keep(f"lease token of {owner}", None)
        self._leases.add(token)
        return token

    @property
    def given_out(self) -> dict[str, str]:
        """Every secret that there ever was, by its label without brackets."""
        return {label.strip("<>"): secret for secret, label in self._labels.items()}

    def was_workers(self, token: str) -> bool:
        """Tell whether it is, or before it was rotated away was, a worker token."""
        return token in self._workers

    def leaked(self, value: Any) -> str | None:
        """Return the label of a worker token or capability that is somewhere in a JSON value, else None."""
        for text in _texts(value):
            for secret, label in self._labels.items():
                if secret in text and secret not in self._leases:
                    return label
        return None

    def scrub(self, value: Any) -> Any:
        """Return a JSON value with every token in it, whole or part of a text or a name, replaced by its label."""
        if isinstance(value, Mapping):
            return {self.scrub_text(name): self._field(name, inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(inner) for inner in value]
        return self.scrub_text(value) if isinstance(value, str) else value

    def scrub_text(self, text: str) -> str:
        """Return a text with every token in it replaced by its label."""
        if len(text) >= SHORTEST:
            for secret, label in self._labels.items():
                text = text.replace(secret, label)
        return text

    def _field(self, name: str, value: Any) -> Any:
        if name in TOKEN_FIELDS and isinstance(value, str):
            # One that was never given out may be somebody else's.
            return self._labels.get(value, UNKNOWN)
        return self.scrub(value)

    def _keep(self, label: str, given: str | None) -> str:
        secret = given or f"{self._random.getrandbits(256):064x}"
        self._labels[secret] = f"<{label}>"
        return secret


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value that is long enough to hold a token, names included."""
    if isinstance(value, str):
        return [value] if len(value) >= SHORTEST else []
    if isinstance(value, Mapping):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    return []
