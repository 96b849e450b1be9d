"""The dispatcher over a simulated wire: the state machine of the fake dispatcher, with HTTP's answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from harness.fakes.dispatcher import Dispatcher, DispatcherRequest
from harness.fakes.dispatcher.wire import CLAIM, COMPLETE
from harness.faults import DispatcherFault
from harness.history import DispatcherCall
from harness.simulate.boundary import Call, Refused
from harness.simulate.disk import STAGING_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.simulate.boundary import Boundary
    from harness.simulate.recorder import SimulatedRecorder


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response: its status, its headers with names in lower case, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class SimulatedDispatcher:
    """The dispatcher as a worker's HTTP client sees it.

    `progress` is set when a request was handled. `claimed_by` has the worker of each attempt, by task id and attempt,
    `terminated_at` when workers got SIGTERM; `claims_after_sigterm` has a worker for each claim that it sent later.
    """

    boundary: Boundary
    recorder: SimulatedRecorder
    machine: Dispatcher
    progress: asyncio.Event
    staging_root: str
    claimed_by: dict[tuple[str, int], int] = field(default_factory=dict)
    terminated_at: dict[int, float] = field(default_factory=dict)
    claims_after_sigterm: list[int] = field(default_factory=list)
    _recorded: int = 0
    _unseen: dict[tuple[str, int | None], tuple[int, int]] = field(default_factory=dict)
    _seen: set[tuple[str, int | None]] = field(default_factory=set)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, *, life: int) -> HttpAnswer:
        """Send a request and return its response; a refused one is answered with status 503.

        Raises:
            Unanswered: the request may have had its effect.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        # Messages may name the staging directory, whose place differs between runs.
        body = body.replace(self.staging_root.encode(), STAGING_ROOT.encode())
        request = DispatcherRequest("POST", path, lowered, body)

        answers_arrived: list[Callable[[], object]] = []

        def effect(is_answered: bool) -> HttpAnswer:  # noqa: FBT001 - as `Call` demands
            answer = self.machine.handle(request).answer
            answers_arrived.append(self.machine.withhold_answer(request))
            attempt = answer.body.get("attempt")
            if request.kind == CLAIM and attempt is not None:
                self.claimed_by[json.loads(body)["task_id"], attempt] = life
            self._record(life, delivered=is_answered)
            self.progress.set()
            date = formatdate(answer.date or self.machine.clock.time(), usegmt=True)
            return HttpAnswer(answer.status, {"date": date}, json.dumps(dict(answer.body)).encode())

        def refuse() -> None:
            if request.kind is not None:
                self.machine.add_faults(DispatcherFault(kind=cast("Any", request.kind), do="status", times=1))
                self.machine.handle(request)
            self._record(life, delivered=True)

        now = asyncio.get_running_loop().time()
        if request.kind == CLAIM and now > self.terminated_at.get(life, now):
            self.claims_after_sigterm.append(life)
        name = f"dispatcher.{request.kind or 'unknown'}"
        try:
            answer = await self.boundary.carry_out(Call(name, effect, refuse), life=life)
        except Refused:
            return HttpAnswer(503, {}, b"{}")
        for arrived in answers_arrived:
            arrived()
        return answer

    def _record(self, life: int, *, delivered: bool) -> None:
        """Record the requests since the last call, and their answers if they reached the worker."""
        journal = self.machine.journal
        for exchange in journal[self._recorded :]:
            event = self.recorder.add(
                DispatcherCall,
                kind=exchange.kind or "unknown_request",
                task_id=exchange.task_id,
                attempt=exchange.attempt,
                request=dict(exchange.request),
                status=exchange.status if delivered else None,
                response=dict(exchange.answer),
                fault=exchange.fault,
                worker=life,
            )
            if exchange.kind == COMPLETE and exchange.task_id is not None and exchange.status == HTTPStatus.OK:
                attempt = (exchange.task_id, exchange.attempt)
                if delivered:
                    self._seen.add(attempt)
                else:
                    self._unseen[attempt] = (event.number, exchange.status)
        self._recorded = len(journal)

    def settle(self) -> None:
        """Show the answer to an accepted completion that no worker has seen: the attempt has ended."""
        for attempt, (number, status) in self._unseen.items():
            if attempt not in self._seen:
                events = self.recorder.events
                events[number - 1] = events[number - 1].model_copy(update={"status": status})
