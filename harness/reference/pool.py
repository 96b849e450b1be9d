"""The RPC pool of an attempt: its URLs (MOD-4, MOD-6, MOD-7), the endpoint that serves it, and the next one (RPC-4)."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.reference.bugs import has_bug
from harness.reference.errors import AttemptError, Fatal, Retryable
from harness.reference.limits import Closed, Pace
from harness.reference.rpc import Endpoint, RpcError, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.reference.cancellation import Cancellation
    from harness.reference.log import Log
    from harness.reference.settings import Settings
    from harness.reference.task import Task

CHOICE_PATIENCE_SECONDS = 1.0
"""How long an endpoint may fail before the next endpoint of its pool is tried."""

PATIENCE_SECONDS = 8.0
"""How long the chosen endpoint may fail, if the pool has no other one."""

SEVERAL_PATIENCE_SECONDS = 3.0
"""How long it may fail before the attempt goes on at the next endpoint of the pool."""

SCRIPTS = "harness_"
"""The prefix of the methods of a test bench for its own fake Cryo: they are passed on as they are."""


class Pool:
    """The endpoints of an attempt's pool, of which one serves it; Cryo's gateway and the proof call it. Thread-safe."""

    def __init__(self, task: Task, settings: Settings, cancellation: Cancellation, log: Log) -> None:
        """Choose the first endpoint that passes RNG-5.

        Raises:
            Fatal: all endpoints are on another chain, or the pool has none.
            Retryable: no endpoint has finalized the range, or none answers.
        """
        self._task, self._settings, self._log = task, settings, log
        self._urls = urls(task, settings)
        log.hide(*self._urls)
        pace, timeout = Pace(settings.requests_per_second, cancellation), settings.rpc_timeout_seconds
        self._endpoints = [Endpoint(url, cancellation, CHOICE_PATIENCE_SECONDS, timeout, pace) for url in self._urls]
        self._lock = threading.Lock()
        self._failure: Retryable | None = None
        self._at = 0
        self._endpoint = self._choose(range(len(self._urls)))
        self._last_hash = self._hash_of_the_last_block(self._endpoint) if len(self._urls) > 1 else None

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that serves the attempt."""
        return self._endpoint

    def call(self, method: str, *params: object) -> Any:
        """Return the result of a call; if the endpoint is dead, from the next one that agrees with it (RPC-4).

        Raises:
            RpcError: the node answered with a permanent error.
            Retryable: no endpoint answers, or the next one has another chain.
        """
        endpoint = self._endpoint
        if method.startswith(SCRIPTS):
            return replace(endpoint, patience_seconds=0, timeout_seconds=None, pace=None, closed=Closed()).call(
                method, *params
            )
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                return endpoint.call(method, *params)
            except Retryable as error:
                endpoint = self._next(endpoint, error)

    def _choose(self, places: Iterable[int], *, trusts: bool = False) -> Endpoint:
        """Return the first usable one of some endpoints.

        Raises:
            AttemptError: none can be used.
        """
        problems: list[AttemptError] = []
        for place in places:
            endpoint = self._endpoints[place]
            try:
                if not (trusts or has_bug("endpoint-is-not-asked")):
                    check(endpoint, self._task, self._settings, self._log)
            except AttemptError as error:
                problems.append(error)
                self._log.write("rpc.refused", place=place, reason=str(error))
            else:
                self._log.write("rpc.chosen", place=place, url=endpoint.url)
                self._at = place
                is_last = place == len(self._endpoints) - 1
                patience = PATIENCE_SECONDS if is_last else SEVERAL_PATIENCE_SECONDS
                return replace(endpoint, patience_seconds=patience)
        worst = next((error for error in problems if isinstance(error, Retryable)), problems[0])
        reasons = "; ".join(map(str, problems))
        raise type(worst)(f"no endpoint of the RPC pool {self._task.rpc_pool!r} can be used: {reasons}")

    def _next(self, dead: Endpoint, reason: Retryable) -> Endpoint:
        """Return the endpoint after a dead one, whichever thread finds it.

        Raises:
            Retryable: there is none, or it has another block at the end of the range.
        """
        with self._lock:
            if self._endpoint is not dead:
                return self._endpoint
            if self._at == len(self._endpoints) - 1 or has_bug("does-not-fail-over"):
                raise reason
            try:
                trusts = has_bug("does-not-check-the-next")
                endpoint = self._choose(range(self._at + 1, len(self._endpoints)), trusts=trusts)
                if not has_bug("does-not-compare-the-branch"):
                    self._check_branch(endpoint)
            except AttemptError as error:
                self._failure = Retryable(f"the endpoint is dead, and no other one can go on: {error}")
                raise self._failure from None
            self._endpoint = endpoint
            return endpoint

    def _check_branch(self, endpoint: Endpoint) -> None:
        found = self._hash_of_the_last_block(endpoint)
        if self._last_hash is None or found != self._last_hash:
            raise Retryable(f"the endpoints have different blocks {self._task.range_end - 1}")

    def _hash_of_the_last_block(self, endpoint: Endpoint) -> str | None:
        try:
            block = endpoint.call("eth_getBlockByNumber", hex(self._task.range_end - 1), False)  # noqa: FBT003 - as below
        except RpcError:
            return None
        return block.get("hash") if isinstance(block, dict) else None


def urls(task: Task, settings: Settings) -> list[str]:
    """Return the URLs of the task's pool, in order.

    Raises:
        Fatal: neither variable is set (MOD-4).
    """
    name = re.sub(r"[^A-Z0-9]", "_", task.rpc_pool.upper())
    if has_bug("pool-name-as-it-is"):
        name = task.rpc_pool.upper().replace("-", "_")
    own, common = f"TRACE_RPC_POOL_{name}_URL", "TRACE_CRYO_RPC_URL"
    value = settings.environment.get(own, "").split() or settings.environment.get(common, "").split()
    if has_bug("common-url-first"):
        value = settings.environment.get(common, "").split() or value
    if not value:
        error_class = Retryable if has_bug("no-url-is-retryable") else Fatal
        raise error_class(f"the RPC pool {task.rpc_pool!r} has no URL: set {own} or {common}")
    return value[:1] if has_bug("first-url-only") else value
