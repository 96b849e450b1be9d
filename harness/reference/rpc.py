"""JSON-RPC on urllib, with repeated calls (RPC-1), and the check of RNG-5."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from harness.reference.bugs import has_bug
from harness.reference.errors import FailedProof, Fatal, Retryable
from harness.reference.limits import Closed, Pace

if TYPE_CHECKING:
    from harness.reference.cancellation import Cancellation
    from harness.reference.log import Log
    from harness.reference.settings import Settings
    from harness.reference.task import Task

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 0.5
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
UNKNOWN_BLOCK = -39001
"""The error of the execution API for a tag that has no block yet."""

PRUNED = 4444
"""The error of nodes for history that they have pruned (EIP-4444)."""

_MISSING_METHOD = re.compile(r"method\b.*\b(not|unknown|unsupported|disabled)\b|(unsupported|unknown) method")
_FINAL = re.compile(r"not found|invalid|unsupported|not supported|cannot unmarshal|hex string|pruned")


class RpcError(Exception):
    """The node answered with an error object."""

    def __init__(self, code: object, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(f"the node answered with error {code}: {message}")

    @property
    def is_missing_method(self) -> bool:
        """Whether the node does not have the method."""
        return self.code == METHOD_NOT_FOUND or _MISSING_METHOD.search(self.message.lower()) is not None

    @property
    def is_final(self) -> bool:
        """Whether a repeated call would get the same error; most errors of a gateway are temporary."""
        codes = (INVALID_PARAMS, UNKNOWN_BLOCK, PRUNED)
        return self.is_missing_method or self.code in codes or _FINAL.search(self.message.lower()) is not None


class Node(Protocol):
    """Whatever answers calls: an endpoint, or the pool of an attempt."""

    def call(self, method: str, *params: object) -> Any:
        """Return the result of a call.

        Raises:
            RpcError: the node answered with a permanent error.
            Retryable: it did not answer.
        """


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; its URL is a secret."""

    url: str = field(repr=False)
    cancellation: Cancellation = field(repr=False)
    patience_seconds: float = 8.0
    timeout_seconds: float | None = 30.0
    pace: Pace | None = field(default=None, repr=False)
    closed: Closed = field(default_factory=Closed, repr=False)

    def call(self, method: str, *params: object) -> Any:
        """Return the result of a call; repeat a failed call with growing pauses until `patience_seconds` have passed.

        Raises:
            RpcError: the node answered with a permanent error.
            Retryable: it answered only with temporary errors, not with JSON-RPC, or not at all.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            self.cancellation.check()
            began += self._wait()
            try:
                return self._ask(method, params)
            except RpcError as error:
                if error.is_final:
                    raise
                if has_bug("error-is-evidence"):
                    raise FailedProof(f"{method} does not confirm the rows: {error}") from None
                problem = f"{method} failed in the RPC pool: {error}"
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
                # The message of the error may contain the URL.
                problem = f"{method} got no valid answer from the RPC pool ({type(error).__name__})"
            if time.monotonic() + pause > began + self.patience_seconds or has_bug("repeats-no-call"):
                raise Retryable(problem)
            self.cancellation.pause(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _wait(self) -> float:
        """Wait until a call may be sent, and return how much of that is due to `Retry-After`."""
        if self.pace is not None:
            self.pace.wait()
        return self.closed.wait(self.cancellation)

    def _ask(self, method: str, params: tuple[object, ...]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - the operator's
        try:
            timeout = None if has_bug("waits-for-ever") else self.timeout_seconds
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - as above
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.TOO_MANY_REQUESTS:
                    self.closed.close(error.headers["Retry-After"])
                if error.code == HTTPStatus.SERVICE_UNAVAILABLE and has_bug("503-is-final"):
                    raise RpcError(error.code, "not found") from None
                found = json.loads(error.read())
        if isinstance(found.get("error"), dict):
            raise RpcError(found["error"].get("code"), str(found["error"].get("message")))
        if found["id"] != 1:
            raise ValueError("this is the answer to another call")
        return found["result"]


def check(endpoint: Endpoint, task: Task, settings: Settings, log: Log) -> None:
    """Check the chain and the finality of an endpoint (RNG-5).

    Raises:
        Fatal: it is on another chain.
        Retryable: it has not finalized the range, or it does not answer.
    """
    try:
        chain_id = _quantity(endpoint.call("eth_chainId"))
        if chain_id != task.chain_id:
            raise Fatal(f"the endpoint has chain id {chain_id}, the task has {task.chain_id}")
        needed, reached = task.range_end - 1, _reached(endpoint, settings, log)
    except (RpcError, ValueError, TypeError) as error:
        raise Retryable(f"the endpoint can't be checked: {error}") from None
    if reached is None or reached < needed:
        raise Retryable(f"the endpoint is final up to block {reached}; the task needs block {needed}")


def _reached(endpoint: Endpoint, settings: Settings, log: Log) -> int | None:
    """Return the last block that may be extracted, or None if no block is final yet."""
    if settings.confirmations is not None:
        return _quantity(endpoint.call("eth_blockNumber")) - settings.confirmations
    try:
        final = endpoint.call("eth_getBlockByNumber", "finalized", False)  # noqa: FBT003 - JSON-RPC's positions
    except RpcError as error:
        if error.code == UNKNOWN_BLOCK or "not found" in error.message.lower():
            return None
        if not _rejects_the_tag(error):
            raise
        log.write("rpc.no_finality", reason="the endpoint has no finalized block: its head is used")
        return _quantity(endpoint.call("eth_blockNumber"))
    return None if final is None else _quantity(final["number"])


def _rejects_the_tag(error: RpcError) -> bool:
    words = ("invalid", "unsupported", "not supported", "cannot unmarshal", "hex string")
    return error.code == INVALID_PARAMS or any(word in error.message.lower() for word in words)


def _quantity(value: object) -> int:
    """Parse the type QUANTITY of JSON-RPC.

    Raises:
        ValueError: it is not a quantity.
    """
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{value!r} is not a quantity")
    return int(value, 16)
