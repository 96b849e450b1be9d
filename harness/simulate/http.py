"""The dispatcher over a simulated wire: the state machine of the fake dispatcher, with HTTP's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from harness.fakes.dispatcher import Dispatcher, DispatcherRequest
from harness.fakes.dispatcher.wire import COMPLETE
from harness.history import DispatcherCall
from harness.simulate.boundary import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.fakes.dispatcher.dispatcher import Delivery
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
    """The dispatcher as a worker's HTTP client sees it."""

    boundary: Boundary
    recorder: SimulatedRecorder
    machine: Dispatcher
    _recorded: int = 0
    _unseen: dict[tuple[str, int | None], tuple[int, int]] = field(default_factory=dict)
    _seen: set[tuple[str, int | None]] = field(default_factory=set)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, *, life: int) -> HttpAnswer:
        """Send a request and return its response; a refused one is answered with status 503.

        Raises:
            Unanswered: the request may have had its effect.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        request = DispatcherRequest("POST", path, lowered, body)
        name = f"dispatcher.{request.kind or 'unknown'}"
        handled: list[Delivery] = []
        delivered = False
        try:
            await self.boundary.carry_out(name, lambda: handled.append(self.machine.handle(request)), life=life)
            delivered = True
        except Refused:
            return HttpAnswer(503, {}, b"{}")
        finally:
            self.record(delivered=delivered)
        answer = handled[0].answer
        date = formatdate(answer.date or self.machine.clock.time(), usegmt=True)
        return HttpAnswer(answer.status, {"date": date}, json.dumps(dict(answer.body)).encode())

    def record(self, *, delivered: bool) -> None:
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
