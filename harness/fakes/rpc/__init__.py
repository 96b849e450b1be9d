"""A fake RPC pool: the deterministic chain over JSON-RPC and HTTP, with scripted faults and a typed journal."""

from __future__ import annotations

from harness.fakes.rpc.journal import Call
from harness.fakes.rpc.node import HttpOptions, Node
from harness.fakes.rpc.server import RpcPool

__all__ = ["Call", "HttpOptions", "Node", "RpcPool"]
