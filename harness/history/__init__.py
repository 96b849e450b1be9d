"""One run as an ordered list of typed events: what every check reads, live or from a saved file of JSON lines.

No secret is ever in it: the recorder replaces each by `<secret:NAME>`, which is also how a leak is found. A field that
two runs of one scenario need not share is declared volatile.
"""

from __future__ import annotations

from harness.history.events import (
    BEHIND_LINKS,
    KINDS,
    UNORDERED,
    VERSION,
    VOLATILE,
    Acknowledged,
    Acted,
    Begun,
    CryoEnded,
    CryoStarted,
    CryoWrote,
    DispatcherCall,
    Event,
    Exit,
    FaultFired,
    Final,
    FinalObject,
    LogLine,
    Received,
    RpcCall,
    StagedEntry,
    StoreAnswered,
    StoreAsked,
    TaskEntered,
    TimedOut,
    WorkerStarted,
    schema,
    stable,
)
from harness.history.queries import begun, of
from harness.history.saved import BadHistory, load, save

__all__ = [
    "BEHIND_LINKS",
    "KINDS",
    "UNORDERED",
    "VERSION",
    "VOLATILE",
    "Acknowledged",
    "Acted",
    "BadHistory",
    "Begun",
    "CryoEnded",
    "CryoStarted",
    "CryoWrote",
    "DispatcherCall",
    "Event",
    "Exit",
    "FaultFired",
    "Final",
    "FinalObject",
    "LogLine",
    "Received",
    "RpcCall",
    "StagedEntry",
    "StoreAnswered",
    "StoreAsked",
    "TaskEntered",
    "TimedOut",
    "WorkerStarted",
    "begun",
    "load",
    "of",
    "save",
    "schema",
    "stable",
]
