"""What the endpoints of a pool mean for a task: RNG-5, MOD-4, MOD-7 and RPC-1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.model.allowed import ALL, FATAL, RETRYABLE, Finding, Outcomes, Stage
from harness.model.configuration import UNSET, pool_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.faults import AnyRpcFault
    from harness.scenario import NodeSettings, Scenario

FINAL_BEHIND_HEAD = 64
"""The fake node's newest final block is this far below its head, unless the scenario names it."""
RARE = 100
"""A failure of one request in so many must not cost the attempt (RPC-1)."""
SOME = 3
"""So many failures in all neither."""
NO_STATEMENTS = ("status", "reset", "close", "truncate", "delay")
"""Faults of the node that say nothing about the chain."""


def node_findings(scenario: Scenario, environment: Mapping[str, str], payload: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what keeps a task from its success at the node, before Cryo and later."""
    urls = _urls(scenario, environment, payload["rpc_pool"])
    if not urls:
        yield Finding(Stage.BEFORE_CRYO, FATAL, "MOD-4")
        return
    refusals = [_refusal(url, scenario.node, environment, payload) for url in urls]
    if all(refusal is not None for refusal in refusals):
        outcomes = frozenset[Any]().union(*(refusal for refusal in refusals if refusal is not None))
        yield Finding(Stage.BEFORE_CRYO, outcomes, "RNG-5")
    for fault in scenario.rpc_faults:
        if fault.method == "harness_script" or _is_survived(fault):
            continue
        yield Finding(Stage.CRYO, RETRYABLE, "RNG-4", certain=False)


def _urls(scenario: Scenario, environment: Mapping[str, str], pool: str) -> list[str]:
    """Return the URLs of a pool, with the placeholders of the scenario format."""
    own = pool_variable(pool)
    set_by_harness = scenario.pool_url and own == "TRACE_RPC_POOL_LOCAL_URL" and not _is_unset(scenario, own)
    value = environment.get(own, "{pool_url}" if set_by_harness else environment.get("TRACE_CRYO_RPC_URL", ""))
    return value.split()


def _is_unset(scenario: Scenario, name: str) -> bool:
    return UNSET in {scenario.environment.get(name), scenario.tasks[0].environment.get(name)}


def _refusal(
    url: str, node: NodeSettings, environment: Mapping[str, str], payload: Mapping[str, Any]
) -> Outcomes | None:
    """Return how an attempt may end if this is its only endpoint, None if the endpoint serves it."""
    if "{other_chain_url}" in url:
        return FATAL
    if "{pool_url}" not in url and "{second_url}" not in url and "{pool_address}" not in url:
        return RETRYABLE
    claimed = node.chain_id if node.claims_chain_id is None else node.claims_chain_id
    if claimed != payload["chain_id"]:
        return FATAL
    return None if _final_block(node, environment) >= payload["range_end"] - 1 else RETRYABLE


def _final_block(node: NodeSettings, environment: Mapping[str, str]) -> int:
    """Return the newest block that counts as final."""
    if "TRACE_CRYO_CONFIRMATIONS" in environment:
        return node.head - int(environment["TRACE_CRYO_CONFIRMATIONS"])
    if node.quirks.get("no_finalized_tag"):
        return node.head
    return node.head - FINAL_BEHIND_HEAD if node.finalized is None else node.finalized


def _is_survived(fault: AnyRpcFault) -> bool:
    """Return whether an attempt must get over a fault (RPC-1)."""
    is_rare = fault.every >= RARE and fault.nth >= RARE
    is_short = fault.times is not None and fault.times <= SOME
    return fault.do in NO_STATEMENTS and fault.method is not None and (is_rare or is_short)


def unknown_node(scenario: Scenario) -> Iterator[Finding]:
    """Yield a finding for what the model does not read: real nodes and containers."""
    if scenario.needs_engine or scenario.cryo != "fake-cryo":
        yield Finding(Stage.CRYO, ALL, "", certain=False)
