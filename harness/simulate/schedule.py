"""Lets one worker at a time run, in the order of a plan's switches."""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.simulate.loop import current_loop
from harness.simulate.plan import DISK

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.simulate.plan import Plan, Switch

PATIENCE_SECONDS = 300.0
"""How long a worker that runs alone may take for one operation; then its turn is over, and the switch never applied."""


def is_counted(name: str) -> bool:
    """Return whether an operation is a request of an attempt: an idle worker polls its queue and sweeps its disk."""
    return not name.startswith(("queue.", DISK))


@dataclass(slots=True)
class Schedule:
    """The switches of one run. `lives` are the lives of the workers that run now, by the workers' numbers."""

    plan: Plan
    take_leases: Callable[[], None]
    lives: dict[int, int] = field(default_factory=dict)
    _is_over: bool = False
    _done: int = 0
    _turns: int = 0
    _world: Context = field(default_factory=copy_context)

    @property
    def _current(self) -> Switch | None:
        switches = self.plan.switches if not self._is_over else []
        return switches[self.plan.switched] if self.plan.switched < len(switches) else None

    def ends_turn(self, life: int, name: str) -> bool:
        """Count an operation that a worker is about to send; return True if the worker is stopped before it.

        The first operation of an attempt begins the first turn.
        """
        current = self._current
        if current is None or not is_counted(name):
            return False
        if not self._turns:
            self._begin_turn()
        if self.lives.get(current.worker) != life:
            return False
        if self._done < current.operations:
            self._done += 1
            self._watch()
            return False
        self.plan.switched += 1
        if current.takes_leases:
            self.take_leases()
        self._begin_turn()
        following = self._current
        return following is not None and self.lives.get(following.worker) != life

    def _begin_turn(self) -> None:
        """Stop all workers but the one whose turn it is; without a further switch, let all go on."""
        self._turns, self._done = self._turns + 1, 0
        loop, current = current_loop(), self._current
        for worker, life in sorted(self.lives.items()):
            if current is not None and worker != current.worker:
                loop.stop_life(life)
            else:
                loop.continue_life(life)
        self._watch()

    def _watch(self) -> None:
        """End the schedule if the worker whose turn it is sends nothing for a long time."""
        expected = (self._turns, self._done)
        current_loop().call_later(PATIENCE_SECONDS, self._give_up, expected, context=self._world)

    def _give_up(self, expected: tuple[int, int]) -> None:
        if (self._turns, self._done) == expected and self._current is not None:
            self.finish()

    def finish(self) -> None:
        """Let all workers continue for the rest of the run, whatever the plan says."""
        self._is_over = True
        for life in sorted(self.lives.values()):
            current_loop().continue_life(life)
