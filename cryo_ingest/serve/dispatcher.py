"""The dispatcher over HTTP: three calls, each one request without retries.

Parsing responses is in `responses.py`; the caller decides about retries.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import ClientTimeout

from cryo_ingest.serve.completion import completion_body
from cryo_ingest.serve.ports import FENCED, CompletionRejected, DispatcherUnavailable, LeaseLost, NotClaimed
from cryo_ingest.serve.responses import InvalidResponse, parse_claim, parse_renewal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.ports import Claim, LeasePeriod, Report

CLAIM_PATH = "/internal/task-claim"
HEARTBEAT_PATH = "/v1/task/heartbeat"
COMPLETE_PATH = "/v1/task/complete"
WORKER_HEADER = "X-Trace-Worker-Token"
CAPABILITY_HEADER = "X-Trace-Task-Capability"

CLAIM_TIMEOUT_SECONDS = 10.0
MAX_RESPONSE_BYTES = 4 * 1024**2

OK = 200
REJECTED_CREDENTIALS = (401, 403)
RETRYABLE = (408, 425, 429)
CLIENT_ERRORS = range(400, 500)
SUCCESS = range(200, 300)


class HttpDispatcher:
    """The HTTP interface in contract.md; see `ports.Dispatcher`."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, worker_token: str, worker_id: str, clock: Clock
    ) -> None:
        self._session, self._url, self._clock = session, url, clock
        self._worker_token, self._worker_id = worker_token, worker_id

    async def claim(self, task_id: str) -> Claim | NotClaimed:
        """Claim a task in either form; 409 is the lite form's NotClaimed."""
        sent_at = self._clock.monotonic()
        status, headers, body = await self._post(
            CLAIM_PATH,
            {"task_id": task_id, "worker_id": self._worker_id},
            {WORKER_HEADER: self._worker_token},
            timeout_seconds=CLAIM_TIMEOUT_SECONDS,
        )
        if status == FENCED:
            return NotClaimed("Conflict")
        if status != OK:
            raise DispatcherUnavailable("claim", f"answered {status}")
        try:
            return parse_claim(body, headers, task_id=task_id, sent_at=sent_at)
        except InvalidResponse as error:
            raise DispatcherUnavailable("claim", f"its answer can't be used ({error})") from None

    async def heartbeat(self, claim: Claim, *, timeout_seconds: float) -> LeasePeriod:
        """Renew the lease."""
        sent_at = self._clock.monotonic()
        fields = {
            "task_id": claim.assignment.task_id,
            "attempt": claim.assignment.attempt,
            "lease_token": claim.lease_token,
        }
        status, headers, body = await self._post_as_task(HEARTBEAT_PATH, claim, fields, timeout_seconds)
        if status != OK:
            raise DispatcherUnavailable("heartbeat", f"answered {status}")
        try:
            return parse_renewal(body, headers, sent_at=sent_at)
        except InvalidResponse as error:
            raise DispatcherUnavailable("heartbeat", f"its answer can't be used ({error})") from None

    async def complete(self, claim: Claim, report: Report, *, timeout_seconds: float) -> None:
        """Report the end of an attempt."""
        fields = completion_body(claim, report)
        status, _, _ = await self._post_as_task(COMPLETE_PATH, claim, fields, timeout_seconds)
        if status in SUCCESS:
            return
        if status in CLIENT_ERRORS and status not in RETRYABLE:
            raise CompletionRejected(status)
        raise DispatcherUnavailable("complete", f"answered {status}")

    async def _post_as_task(
        self, path: str, claim: Claim, fields: Mapping[str, Any], timeout_seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {CAPABILITY_HEADER: claim.capability_token}
        status, response_headers, body = await self._post(path, fields, headers, timeout_seconds=timeout_seconds)
        if status == FENCED or status in REJECTED_CREDENTIALS:
            raise LeaseLost(f"the dispatcher answered {status} to {path}", fenced=status == FENCED)
        return status, response_headers, body

    async def _post(
        self, path: str, fields: Mapping[str, Any], headers: Mapping[str, str], *, timeout_seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        operation = path.rpartition("/")[2]
        try:
            async with self._session.post(
                self._url + path,
                data=json.dumps(fields, separators=(",", ":")).encode(),
                headers={"Content-Type": "application/json"} | dict(headers),
                timeout=ClientTimeout(total=timeout_seconds),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(MAX_RESPONSE_BYTES)
                while len(body) < MAX_RESPONSE_BYTES and (more := await response.content.read(MAX_RESPONSE_BYTES)):
                    body += more
                return response.status, response.headers, body
        except TimeoutError:
            raise DispatcherUnavailable(operation, f"no answer within {timeout_seconds:.1f} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Without the error's own text, which contains the URL.
            raise DispatcherUnavailable(operation, f"no answer ({type(error).__name__})") from None


@asynccontextmanager
async def open_session(proxy: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the HTTP session of a service, through a proxy if one is given.

    Each request has its own connection: on a reused one, a close by the server looks like a lost response, and a claim
    must not be sent twice. A task needs few requests.
    """
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy) as session:
        yield session
