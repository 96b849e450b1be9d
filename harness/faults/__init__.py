"""Faults and triggers, each one class from the scenario file to the fake that carries it out; values only."""

from __future__ import annotations

from harness.faults.dispatcher import DispatcherFault
from harness.faults.occurrence import Occurrence, Script
from harness.faults.rpc import AnyRpcFault, RpcFault
from harness.faults.store import StoreFault
from harness.faults.triggers import Trigger

__all__ = ["AnyRpcFault", "DispatcherFault", "Occurrence", "RpcFault", "Script", "StoreFault", "Trigger"]
