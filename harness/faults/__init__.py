"""The faults that a scenario names, as it writes them down; the fakes carry them out."""

from __future__ import annotations

from harness.faults.script import Action, DispatcherFaultLine, RpcFault, StoreFault, Strict, Trigger

__all__ = ["Action", "DispatcherFaultLine", "RpcFault", "StoreFault", "Strict", "Trigger"]
