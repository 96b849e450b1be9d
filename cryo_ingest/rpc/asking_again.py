"""Asks again for bad answers: the same endpoint first, then another one if the pool has one.

An answer can be bad by chance, for example from a member of a load-balanced pool that lags behind. A persistent one is
refused, or reaches Cryo if it may be right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.backoff import backoff_seconds, jittered
from cryo_ingest.errors import AnswerRefused, NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.ports import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from cryo_ingest.ports import Call, Clock, Node
    from cryo_ingest.rpc.answer_checks import Problem
    from cryo_ingest.rpc.counters import GatewayCounters
    from cryo_ingest.rpc.pool import Pool

TRIES = 6
TRIES_IF_SUSPECTED = 3
TRIES_IF_HOPELESS = 1
FIRST_BACKOFF_SECONDS = 0.1
"""Six tries take two to three seconds: a member that lags is met again with a chance of a half at most."""


@dataclass(slots=True)
class AskingAgain:
    """Asks again; a kind of problem that persisted for a method is tried only once from then on, until it is cured."""

    pool: Pool
    clock: Clock
    random: Random
    counters: GatewayCounters
    _hopeless: set[tuple[str, str]] = field(default_factory=set)

    async def ask(
        self, call: Call, answer: bytes, problem: Problem, *, check: Callable[[bytes], Problem | None]
    ) -> bytes | NodeError:
        """Return an answer in which `check` finds no problem, or the last one if it may be right.

        Raises:
            AnswerRefused: every answer is bad in a way that no correct node's is.
            NodeUnavailable: no endpoint answers.
        """
        self.counters.bad_answers[problem.kind] += 1
        first, kind, same = answer, (call.method, problem.kind), True
        latest: bytes | NodeError
        tries = TRIES_IF_HOPELESS if kind in self._hopeless else TRIES if problem.definite else TRIES_IF_SUSPECTED
        name = self.pool.name
        for number in range(1, tries + 1):
            longest = backoff_seconds(number, first_seconds=FIRST_BACKOFF_SECONDS)
            await self.clock.sleep(jittered(longest, self.random))
            node = await self._node(elsewhere=number > 1)
            name, latest = node.name, await _ask_one(node, call)
            if isinstance(latest, NodeError):
                return latest
            answer = latest
            again = check(answer)
            if again is None:
                self.counters.cured[problem.kind] += 1
                self._hopeless.discard(kind)
                return answer
            same, problem = same and answer == first, again
        if not self._hopeless:
            log.warning("answer.bad", endpoint=name, method=call.method, kind=problem.kind)
        self._hopeless.add(kind)
        if problem.null_passes:
            return b"null"
        if not problem.definite:
            return answer
        raise AnswerRefused(endpoint_name=name, method=call.method, problem=problem.text, same=same)

    async def _node(self, *, elsewhere: bool) -> Node:
        other = await self.pool.find_other() if elsewhere else None
        return self.pool if other is None else other


async def _ask_one(node: Node, call: Call) -> bytes | NodeError:
    found: list[bytes | NodeError] = []
    await node.send([(0, call)], lambda _, answer: found.append(answer), patient=True)
    if not found:
        raise NodeUnavailable(endpoint_name=node.name, method=call.method, reason="it left the call unanswered")
    return found[0]
