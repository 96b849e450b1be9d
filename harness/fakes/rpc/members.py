"""The members of a pool behind a load balancer; harness.faults.rpc defines the faults that let another one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.faults import RpcFault, rpc

if TYPE_CHECKING:
    from harness.fakes.rpc.node import Node


def member(node: Node, fault: RpcFault | None) -> Node:
    """Return the member of the pool that answers: the node itself, or another one if the fault requires it."""
    match fault:
        case rpc.Pruned(below, receipts):
            return replace(node, pruned_below=below, pruned_receipts=receipts)
        case rpc.Lagging(head, unknown_hash):
            final = None if node.finalized is None else min(node.finalized, head)
            behind = replace(node, head=min(node.head, head), lag=0, finalized=final, logs_past_head_fail=False)
            return replace(behind, unknown_hash_fails=unknown_hash == "error")
    return node
