"""A dispatcher as strict as the platform's: tasks, leases, fencing, publications, over HTTP or in process.

`Dispatcher` is the state machine; it has no transport and takes a clock as a parameter. `DispatcherServer` serves it on
127.0.0.1. A request that breaks the contract is rejected and recorded as a violation with its clause.
"""

from harness.fakes.dispatcher.clock import HarnessClock, ManualClock, SystemClock
from harness.fakes.dispatcher.dispatcher import ClaimForm, Dispatcher
from harness.fakes.dispatcher.server import DispatcherServer
from harness.fakes.dispatcher.state import TaskState, TaskStatus
from harness.fakes.dispatcher.wire import Answer, DispatcherRequest, Exchange, RequestViolation

__all__ = [
    "Answer",
    "ClaimForm",
    "Dispatcher",
    "DispatcherRequest",
    "DispatcherServer",
    "Exchange",
    "HarnessClock",
    "ManualClock",
    "RequestViolation",
    "SystemClock",
    "TaskState",
    "TaskStatus",
]
