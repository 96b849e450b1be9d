"""When a scripted fault strikes: by method, block and count, never by chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import actions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.fakes.rpc.actions import Action


@dataclass(frozen=True, slots=True)
class When:
    """The calls that a fault spoils, among those that match `method`, `block` and `endpoint` (None matches any).

    `nth` is the first one to be spoilt, counted from 1, `times` how many from then on (None for all); with `every`
    each `every`th is, whatever the other two say.
    """

    method: str | None = None
    block: int | None = None
    endpoint: str | None = None
    nth: int = 1
    times: int | None = 1
    every: int | None = None

    def matches(self, method: str, blocks: tuple[int, int] | None, endpoint: str) -> bool:
        """Tell whether a call counts for this fault at all."""
        if self.method not in {None, method} or self.endpoint not in {None, endpoint}:
            return False
        return self.block is None or (blocks is not None and blocks[0] <= self.block <= blocks[1])

    def strikes(self, count: int) -> bool:
        """Tell whether the `count`th matching call is to be spoilt."""
        if self.every is not None:
            return count % self.every == 0
        return count >= self.nth and (self.times is None or count < self.nth + self.times)


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a script."""

    when: When
    do: Action

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Fault:
        """Read `{"when": {"method": …, "block": …}, "do": {"kind": "status", "code": 503}}`."""
        return cls(when=When(**fields.get("when", {})), do=actions.from_json(fields["do"]))


@dataclass(slots=True)
class Script:
    """The faults of a pool and how many calls each has counted; used by the server's thread alone."""

    faults: list[Fault] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Add faults; their counts begin now."""
        self.faults = [*self.faults, *faults]

    def strike(self, method: str, blocks: tuple[int, int] | None, endpoint: str) -> tuple[int, Action] | None:
        """Count a call, and return the first fault that spoils it with its place in the script, or None."""
        struck = None
        self._counts += [0] * (len(self.faults) - len(self._counts))
        for place, fault in enumerate(self.faults):
            if fault.when.matches(method, blocks, endpoint):
                self._counts[place] += 1
                if struck is None and fault.when.strikes(self._counts[place]):
                    struck = place, fault.do
        return struck
