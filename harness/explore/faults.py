"""The faults of each request: all that scenario files can express once, and why the others are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.explore.expect import CANCELLED, FATAL, LEASE_LOST, LIVE, NEVER_ANSWERED, Expectation
from harness.explore.requests import DispatcherTarget, RpcTarget, StoreTarget
from harness.faults import DispatcherFault, RpcFault, StoreFault
from harness.faults import rpc as node

_STORE: tuple[tuple[str, dict[str, Any], Expectation], ...] = (
    ("503-after", {"status": 503, "code": "ServiceUnavailable", "when": "after"}, LIVE),
    ("reset-after", {"do": "reset", "when": "after"}, LIVE),
    ("500", {"status": 500}, LIVE),
    ("slow-down", {"do": "slow-down"}, LIVE),
    ("cut-after", {"do": "cut", "when": "after"}, LIVE),
    ("reset", {"do": "reset"}, LIVE),
    ("clock-skew", {"do": "clock-skew"}, LIVE),
    ("expired-token", {"do": "expired-token"}, LIVE),
    ("403", {"status": 403, "code": "AccessDenied"}, FATAL),
    ("404-bucket", {"status": 404, "code": "NoSuchBucket"}, FATAL),
    ("hang", {"do": "hang"}, NEVER_ANSWERED),
    ("hang-after", {"do": "hang", "when": "after"}, NEVER_ANSWERED),
)
_PUT: tuple[tuple[str, dict[str, Any], Expectation], ...] = (
    ("keep-half", {"do": "keep-half"}, LIVE),
    ("409-conflict", {"status": 409, "code": "ConditionalRequestConflict"}, LIVE),
    ("keep-empty", {"do": "keep-empty"}, LIVE),
    ("412", {"status": 412, "code": "PreconditionFailed"}, FATAL),
    ("keep-framed", {"do": "keep-framed"}, LIVE),
)


def store_faults(target: StoreTarget) -> Iterator[tuple[str, StoreFault, Expectation]]:
    """Yield the faults of a request to the store, the most telling ones first."""
    on_put = _PUT if target.kind == "put" else ()
    kinds = [*_STORE[:2], *on_put[:2], *_STORE[2:], *on_put[2:]]
    if target.kind == "put" and target.has_condition:
        kinds.append(("ignore-conditions", {"do": "ignore-conditions"}, FATAL))
    if target.kind == "put" and target.has_if_match:
        kinds.append(("refuse-quoted-etags", {"do": "refuse-quoted-etags"}, LIVE))
    for name, fields, expectation in kinds:
        nth = target.operation.nth
        yield name, StoreFault(operation=target.kind, key=target.key, nth=nth, times=1, **fields), expectation


def rpc_faults(target: RpcTarget) -> Iterator[tuple[str, RpcFault, Expectation]]:
    """Yield the faults of a request to the node."""
    at: dict[str, Any] = {
        "method": target.method, "nth": target.operation.nth, "times": 1, "counts": "requests",
    }  # fmt: skip
    yield "429", node.Status(code=429, retry_after="1", **at), LIVE
    yield "truncate", node.Truncate(**at), LIVE
    yield "null", node.Result(value=None, **at), LIVE
    yield "error-32005", node.Error(code=-32005, message="rate limit exceeded", **at), LIVE
    yield "hang", node.Hang(**at), LIVE
    yield "503", node.Status(code=503, **at), LIVE
    yield "reset", node.Reset(**at), LIVE
    yield "not-json", node.Raw(body="<html>busy</html>", **at), LIVE
    yield "outage-3", node.Outage(requests=3, **at), LIVE
    yield "null-id", node.Error(code=-32005, message="rate limit exceeded", null_id=True, **at), LIVE
    yield "other-id", node.Envelope(fields={"id": 987_654_321}, **at), LIVE
    yield "object", node.Result(value={}, **at), LIVE
    yield "close", node.Close(**at), LIVE
    yield "delay-2", node.Delay(seconds=2.0, **at), LIVE
    yield "error-32603", node.Error(code=-32603, message="Internal error", **at), LIVE
    yield "502", node.Status(code=502, **at), LIVE
    yield from _by_method(target, at)


def _by_method(target: RpcTarget, at: dict[str, Any]) -> Iterator[tuple[str, RpcFault, Expectation]]:
    method = target.method
    if method == "eth_chainId":
        yield "other-chain", node.Result(value="0x1", **at), FATAL
    if method.startswith("eth_getBlockBy"):
        yield "no-hash", node.Fields(drop=("hash",), **at), LIVE
        yield "no-number", node.Fields(drop=("number",), **at), LIVE
    if method in {"eth_getLogs", "eth_getBlockReceipts"}:
        yield "no-items", node.Items(first=0, **at), LIVE
    if target.names_block:
        yield "other-block", node.OtherBlock(offset=1, **at), LIVE
        yield "lagging", node.Lagging(head=0, **at), LIVE
    if target.batch is not None:
        batch: dict[str, Any] = {"method": method, "nth": target.batch, "times": 1}
        yield "batch-refused", node.BatchLimit(calls=0, **batch), LIVE


_STATUSES = {"claim": (429, 500, 503), "heartbeat": (409, 429, 500, 503), "complete": (409, 429, 500, 503)}


def dispatcher_faults(
    target: DispatcherTarget, *, lease_seconds: float
) -> Iterator[tuple[str, DispatcherFault, Expectation]]:
    """Yield the faults of a request to the dispatcher.

    A fault after which the dispatcher has granted or ended something that the worker does not know costs the lease.
    """
    at: dict[str, Any] = {"kind": target.kind, "nth": target.operation.nth, "times": 1}
    for when in ("after", "before"):
        suffix = "-after" if when == "after" else ""
        lost = LEASE_LOST if target.kind == "claim" and when == "after" else LIVE
        yield f"reset{suffix}", DispatcherFault(do="reset", when=when, **at), lost
        yield f"take-lease{suffix}", DispatcherFault(do="take-lease", when=when, **at), LEASE_LOST
        for status in _STATUSES[target.kind]:
            if when == "before" or status == 503:  # noqa: PLR2004 - one status stands for all that hide an effect
                expectation = LEASE_LOST if status == 409 else lost  # noqa: PLR2004 - a conflict ends the lease
                yield f"{status}{suffix}", DispatcherFault(do="status", status=status, when=when, **at), expectation
        yield f"hang{suffix}", DispatcherFault(do="hang", when=when, **at), LEASE_LOST
        yield f"cancel{suffix}", DispatcherFault(do="cancel", when=when, **at), CANCELLED
        ahead = lease_seconds + 1
        yield f"clock-ahead{suffix}", DispatcherFault(do="jump", seconds=ahead, when=when, **at), LEASE_LOST
    yield "unknown-fields", DispatcherFault(do="unknown-fields", **at), LIVE
    # Shorter than any timeout: after a longer one a correct worker repeats a completion that was accepted.
    yield "delay-0.5", DispatcherFault(do="delay", seconds=0.5, **at), LIVE
    if target.kind != "claim":
        denied = DispatcherFault(do="status", status=403, **at)
        yield "403", denied, LEASE_LOST


LEFT_OUT = {
    "stop (node)": "the only node of the pool never comes back",
    "reorg (node)": "another chain has other correct rows",
    "rate-limit, pruned (node)": "they describe a node, not one request",
    "rotate-token (dispatcher)": "no worker of this run would be given the new token",
    "409 to a claim": "the dispatcher would never offer the task again",
}
"""Faults that are left out, with the reason."""
