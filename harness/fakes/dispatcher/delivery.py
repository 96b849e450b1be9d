"""What a transport does with a response of the fake dispatcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.fakes.dispatcher.wire import Answer

TransportAction = Literal["answer", "hang", "reset"]
TRANSPORT_ACTIONS: dict[str, TransportAction] = {"hang": "hang", "reset": "reset"}
"""What a fault of the response makes the transport do."""

LEASE_ENDING_STATUSES = {401, 403, 409}
"""The statuses after which an attempt has lost its lease and must send no more requests (LSE-3, LSE-5)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A response, and what the transport does: send it after a delay, send nothing, or reset the connection."""

    answer: Answer
    action: TransportAction = "answer"
    delay_seconds: float = 0.0
