"""A fake RPC pool: the deterministic chain behind JSON-RPC over HTTP, with scripted faults and a typed journal."""

from __future__ import annotations

from harness.fakes.rpc.endpoint import Endpoint
from harness.fakes.rpc.faults import Fault, When
from harness.fakes.rpc.journal import Answered, Called, Event, Fired, Journal
from harness.fakes.rpc.pool import RpcPool

__all__ = ["Answered", "Called", "Endpoint", "Event", "Fault", "Fired", "Journal", "RpcPool", "When"]
