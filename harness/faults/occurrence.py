"""The rule that selects the requests, calls or events to which a fault applies, and its counters."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Reject unknown fields and NaN."""


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiled)]
"""A regular expression that is searched for."""
Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Occurrence:
    """When a fault applies.

    Matches are counted from 1 in order of arrival. The fault applies to the `nth` match and to each `every`th match
    after it (`nth = 2, every = 3`: 2, 5, 8), at most `times` times; without `times` there is no limit.
    """

    nth: Positive = 1
    every: Positive = 1
    times: Positive | None = None

    def includes(self, count: int) -> bool:
        """Return whether the fault applies to the match with this number."""
        steps, rest = divmod(count - self.nth, self.every)
        return steps >= 0 and rest == 0 and (self.times is None or steps < self.times)


_Fault = TypeVar("_Fault", bound=Occurrence)


class Script(Generic[_Fault]):
    """The faults of one fake, with the number of matches and of applications of each. Safe to use from any thread."""

    def __init__(self, faults: Iterable[_Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._entries: tuple[_Entry[_Fault], ...] = ()
        self.extend(faults)

    @property
    def faults(self) -> list[_Fault]:
        """All faults, in the order in which they were added."""
        return [entry.fault for entry in self._entries]

    @property
    def fired(self) -> list[_Fault]:
        """The faults that have applied at least once."""
        return [entry.fault for entry in self._entries if entry.fired]

    @property
    def unfired(self) -> list[_Fault]:
        """The faults that have not applied yet."""
        return [entry.fault for entry in self._entries if not entry.fired]

    def extend(self, faults: Iterable[_Fault]) -> None:
        """Add faults; their counts begin now.

        Raises:
            TypeError: one of them is not a fault that does something; none is added.
        """
        added = list(faults)
        for fault in list[object](added):
            # A class with subclasses only has what its faults share.
            if not isinstance(fault, Occurrence) or type(fault).__subclasses__():
                raise TypeError(
                    f"{fault!r} is not a fault: docs/scenarios.md lists them, each has a class in harness.faults"
                )
        with self._lock:
            self._entries = (*self._entries, *(_Entry(fault) for fault in added))

    def fire(self, matches: Callable[[_Fault], bool]) -> list[_Fault]:
        """Count a match for each fault that `matches` accepts, and return those that apply, in the script's order."""
        with self._lock:
            found = list(self._due(matches))
            for entry in found:
                entry.fired += 1
        return [entry.fault for entry in found]

    def fire_first(self, matches: Callable[[_Fault], bool]) -> _Fault | None:
        """Count as `fire` does, and return the first fault that applies; only that one counts as fired."""
        with self._lock:
            found = next(iter(list(self._due(matches))), None)
            if found is None:
                return None
            found.fired += 1
        return found.fault

    def _due(self, matches: Callable[[_Fault], bool]) -> Iterator[_Entry[_Fault]]:
        for entry in self._entries:
            if matches(entry.fault):
                entry.matched += 1
                if entry.fault.includes(entry.matched):
                    yield entry


class _Entry(Generic[_Fault]):
    """One fault and its counts."""

    def __init__(self, fault: _Fault) -> None:
        self.fault = fault
        self.matched = 0
        self.fired = 0
