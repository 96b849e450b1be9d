"""The gateway: a node on loopback that Cryo reads from instead of the RPC pool.

Cryo sends one call in a request, has no timeout, knows one endpoint and loses a chunk of 1,000 blocks for one bad
answer. The gateway sends the calls in batches, asks again for each one that failed, checks the answers, and keeps what
the proof needs. Its URL has a random path and is valid for one attempt; the pool's URLs never leave the worker (RPC-3).
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

import msgspec

from cryo_ingest.errors import IngestError, NodeUnavailable, first_exception_of
from cryo_ingest.logs import log
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.answer_checks import BLOCK, BY_TRANSACTION, TRACES, AnswerChecks
from cryo_ingest.rpc.asking_again import AskingAgain
from cryo_ingest.rpc.counters import GatewayCounters
from cryo_ingest.rpc.gathering import Gatherer
from cryo_ingest.rpc.listener import LOOPBACK, Clients, listen
from cryo_ingest.rpc.log_ranges import LogFilter
from cryo_ingest.rpc.logs_path import LogsPath
from cryo_ingest.rpc.methods import is_read_method
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cryo_ingest.ports import Clock
    from cryo_ingest.rpc.answer_checks import Problem
    from cryo_ingest.rpc.evidence import Evidence
    from cryo_ingest.rpc.listener import Reply
    from cryo_ingest.rpc.pool import Pool

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INTERNAL_ERROR, NO_ANSWER = -32700, -32600, -32601, -32603, -32000

MAX_UNREAD_BYTES = 16 * 1024**2
"""Answers that Cryo has not read yet; beyond that nothing more is fetched."""


class Request(msgspec.Struct):
    """A JSON-RPC request; Cryo leaves out empty parameters."""

    method: str
    id: msgspec.Raw = msgspec.Raw(b"null")
    params: list[Any] = []


_REQUEST = msgspec.json.Decoder(Request)
_BATCH = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(slots=True)
class Gateway:
    """Answers the calls of one client from a pool.

    With `evidence`, headers and receipts that pass are kept in it. With `with_headers`, the header of each block is
    fetched with its logs or traces; with `cryo_asks_for_headers`, Cryo gets that one. `failed` gets the error that ends
    the attempt; without an attempt (`standalone`) the client gets it. `random` varies the waits before bad answers are
    asked for again.
    """

    pool: Pool
    clock: Clock
    redact: Callable[[str], str]
    evidence: Evidence | None = None
    with_headers: bool = False
    cryo_asks_for_headers: bool = False
    standalone: bool = False
    random: Random = field(default_factory=SystemRandom)
    counters: GatewayCounters = field(default_factory=GatewayCounters)
    clients: Clients = field(default_factory=Clients)
    url: str = field(default="", repr=False)
    failed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _gatherer: Gatherer = field(init=False)
    _checks: AnswerChecks = field(init=False)
    _asking_again: AskingAgain = field(init=False)
    _logs: LogsPath = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _closed: bool = False
    _fetched_ahead: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._gatherer = Gatherer(self.pool, is_full=lambda: self.clients.unread_bytes > MAX_UNREAD_BYTES)
        self.clients.on_read = self._gatherer.resume
        self._checks = AnswerChecks(self.evidence)
        self._asking_again = AskingAgain(self.pool, self.clock, self.random, self.counters)
        self._logs = LogsPath(
            self._gatherer.ask,
            self.ask_all_checked,
            self._asking_again,
            self.evidence,
            self.counters,
            with_headers=self.with_headers,
        )

    def handle(self, body: bytes, reply: Reply) -> None:
        """Answer one HTTP request: a call, or a list of calls; none after `close`."""
        if self._closed:
            return
        if body.lstrip()[:1] != b"[":
            self._handle_call(body, reply)
            return
        try:
            items = _BATCH.decode(body)
        except msgspec.DecodeError:
            items = []
        if not items:
            reply(_error(b"null", PARSE_ERROR, "the request is not JSON-RPC"))
            return
        answers: dict[int, bytes] = {}

        def answered(index: int, answer: bytes) -> None:
            answers[index] = answer
            if len(answers) == len(items):
                reply(b"[" + b",".join(answers[place] for place in range(len(items))) + b"]")

        for index, item in enumerate(items):
            self._handle_call(bytes(item), partial(answered, index))

    def summary(self) -> dict[str, object]:
        """Return the counts for a log event."""
        return self.counters.summary() | {"calls_sent": self.pool.billed_calls}

    async def close(self) -> None:
        """Cancel what is in flight."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gatherer.close()
        self.failed.cancel()

    async def ask_checked(self, call: Call) -> bytes | NodeError:
        """Ask the pool, and again while the answer is bad.

        Raises:
            IngestError: no endpoint answers, or every answer is bad.
        """
        answer = await self._gatherer.ask(call)
        return await self._checked(call, answer)

    async def ask_all_checked(self, calls: list[Call]) -> list[bytes | NodeError]:
        """Ask for several calls at once; see `ask_checked`. One task for all of them costs less than one for each."""
        answers = await asyncio.gather(*map(self._gatherer.ask, calls))
        return [await self._checked(call, answer) for call, answer in zip(calls, answers, strict=True)]

    async def _checked(self, call: Call, answer: bytes | NodeError) -> bytes | NodeError:
        if isinstance(answer, NodeError) or (problem := self._checks.check(call, answer)) is None:
            return answer
        return await self._ask_again(call, answer, problem)

    async def _ask_again(self, call: Call, answer: bytes, problem: Problem) -> bytes | NodeError:
        return await self._asking_again.ask(call, answer, problem, check=partial(self._checks.check, call))

    def _handle_call(self, body: bytes, reply: Reply) -> None:
        try:
            request = _REQUEST.decode(body)
        except msgspec.ValidationError:
            reply(_error(b"null", INVALID_REQUEST, "the request is not a JSON-RPC call with a list of parameters"))
            return
        except msgspec.DecodeError:
            reply(_error(b"null", PARSE_ERROR, "the request is not JSON"))
            return
        self.counters.calls_received += 1
        identifier = bytes(request.id)
        if not is_read_method(request.method):
            self.counters.calls_refused += 1
            reply(_error(identifier, METHOD_NOT_FOUND, f"the gateway passes only methods that read: {request.method}"))
            return
        call = Call(request.method, tuple(request.params))
        wanted = LogFilter.of_call(call)
        if wanted is not None:
            self._start(self._answer_with(self._logs.fetch(wanted), identifier, reply))
        elif self._needs_header(call):
            self._start(self._answer_with(self._with_header(call), identifier, reply))
        elif (ahead := self._take_fetched_ahead(call)) is not None:
            reply(_result(identifier, ahead))
        else:
            self._gatherer.submit(call, lambda answer: self._answered(call, answer, identifier, reply))

    def _take_fetched_ahead(self, call: Call) -> bytes | None:
        """Return a header that was fetched with its block's traces, when Cryo asks for it too."""
        if not self._fetched_ahead or call.method != BLOCK or call.params[1:] != (False,):
            return None
        return self._fetched_ahead.pop(str(call.params[0]), None)

    def _needs_header(self, call: Call) -> bool:
        """Return whether the header must be there before the answer can be checked."""
        return (
            self.with_headers
            and self.evidence is not None
            and (call.method == TRACES or call.method in BY_TRANSACTION)
            and bool(call.params)
            and (number := quantity(call.params[0])) is not None
            and number not in self.evidence.headers
        )

    async def _with_header(self, call: Call) -> bytes | NodeError:
        header_call = Call(BLOCK, (call.params[0], False))
        header = asyncio.ensure_future(self.ask_checked(header_call))
        try:
            answer = await self._gatherer.ask(call)
            text = await header
        finally:
            header.cancel()
        if self.cryo_asks_for_headers and isinstance(text, bytes):
            self._fetched_ahead[str(call.params[0])] = text
        return await self._checked(call, answer)

    def _answered(self, call: Call, answer: bytes | NodeError | Exception, identifier: bytes, reply: Reply) -> None:
        """Check an answer and pass it on; a bad one is asked for again in a task."""
        if isinstance(answer, bytes):
            try:
                problem = self._checks.check(call, answer)
            except Exception as failure:  # noqa: BLE001 - it must not end the delivery of the other answers
                self._failed(failure, identifier, reply)
                return
            if problem is None:
                reply(_result(identifier, answer))
            else:
                self._start(self._answer_with(self._ask_again(call, answer, problem), identifier, reply))
        elif isinstance(answer, NodeError):
            reply(self._error_of(answer, identifier))
        else:
            self._failed(answer, identifier, reply)

    def _failed(self, failure: Exception, identifier: bytes, reply: Reply) -> None:
        if isinstance(failure, IngestError):
            self._fail(failure, identifier, reply)
        else:
            self._crashed(failure, identifier, reply)

    async def _answer_with(self, asking: Any, identifier: bytes, reply: Reply) -> None:
        try:
            answer = await asking
        except IngestError as problem:
            self._fail(problem, identifier, reply)
        except ExceptionGroup as group:
            # From the task groups that fetch logs; what else is in there is a bug of the worker.
            first = first_exception_of(group, IngestError)
            if first is None or group.split(IngestError)[1] is not None:
                self._crashed(group, identifier, reply)
            else:
                self._fail(first, identifier, reply)
        except Exception as bug:  # noqa: BLE001 - a bug must not leave the client without an answer
            self._crashed(bug, identifier, reply)
        else:
            is_error = isinstance(answer, NodeError)
            reply(self._error_of(answer, identifier) if is_error else _result(identifier, answer))

    def _crashed(self, bug: Exception, identifier: bytes, reply: Reply) -> None:
        """Report a bug of the worker: to the attempt, or to the client."""
        if self.standalone:
            log.error("gateway.crashed", error=type(bug).__name__)
            reply(_error(identifier, INTERNAL_ERROR, "the gateway failed; its log says why"))
        elif not self.failed.done():
            self.failed.set_exception(bug)

    def _fail(self, problem: IngestError, identifier: bytes, reply: Reply) -> None:
        """End the attempt, or without one, answer with an error.

        At the attempt's deadline the extractor ends it, and says what was done; Cryo gets no answer.
        """
        if isinstance(problem, NodeUnavailable) and problem.out_of_time and not self.standalone:
            return
        if self.standalone:
            reply(_error(identifier, NO_ANSWER, self.redact(str(problem))))
        elif not self.failed.done():
            self.failed.set_exception(problem)

    def _error_of(self, error: NodeError, identifier: bytes) -> bytes:
        """Return the node's error for the client; Cryo prints it, so it must contain no secret (SEC-1)."""
        self.counters.errors_passed += 1
        return _error(identifier, error.code, self.redact(error.message))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def serve_gateway(gateway: Gateway, *, port: int = 0) -> AsyncIterator[Gateway]:
    """Serve a gateway under a random path on loopback until the block ends, and log its counters."""
    path = f"/{secrets.token_urlsafe(16)}"
    counters, pool = gateway.counters, gateway.pool
    with pool.chain.meter.including(counters):
        async with listen(path, gateway.handle, port=port, clients=gateway.clients) as actual_port:
            gateway.url = f"http://{LOOPBACK}:{actual_port}{path}"
            try:
                yield gateway
            finally:
                await gateway.close()
                log.info("gateway.closed", **gateway.summary())


def _result(identifier: bytes, text: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (identifier, text)


def _error(identifier: bytes, code: int, message: str) -> bytes:
    error = msgspec.json.encode({"code": code, "message": message})
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (identifier, error)
