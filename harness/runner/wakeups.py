"""Turns SQS requests that pass through the proxy into events, in both protocols of SQS.

Newer SDKs send JSON and name the operation in a header. SDKs from before 2023 send a form and get XML back
(Amazon SQS Developer Guide, "What is the difference between the JSON and query protocols").
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from harness.history import MessageAcknowledged, MessageReceived
from harness.json_utils import json_object
from harness.stores.proxy import Listener, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.runner.recorder import Recorder

HANDLE = "ReceiptHandle"


class QueueListener(Listener):
    """Records which wake-up messages were received and which were deleted."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._task_of_handle: dict[str, str | None] = {}

    def on_response(self, number: int, request: Request, response: Response) -> None:  # noqa: ARG002 - the listener's signature
        """Record the messages that a ReceiveMessage returned or a DeleteMessage deleted."""
        amz_target = {name.lower(): value for name, value in request.headers.items()}.get("x-amz-target", "")
        if amz_target:
            operation, fields = amz_target.rpartition(".")[2], json_object(request.body) or {}
            handles = [entry.get(HANDLE, "") for entry in fields.get("Entries", [fields])]
            received = [
                (message[HANDLE], message["Body"]) for message in (json_object(response.body) or {}).get("Messages", [])
            ]
        else:
            form = parse_qs(request.body.decode(errors="replace"))
            operation = form.get("Action", [""])[0]
            handles = [value for name, values in form.items() if name.endswith(HANDLE) for value in values]
            received = list(_messages(response.body)) if operation == "ReceiveMessage" else []
        if operation == "ReceiveMessage":
            self._record_received(received)
        elif operation in {"DeleteMessage", "DeleteMessageBatch"}:
            for handle in handles:
                self._recorder.add(MessageAcknowledged, task_id=self._task_of_handle.get(handle))

    def _record_received(self, messages: Iterable[tuple[str, str]]) -> None:
        for handle, body in messages:
            task_id = (json_object(body) or {}).get("task_id")
            self._task_of_handle[handle] = task_id if isinstance(task_id, str) else None
            self._recorder.add(MessageReceived, task_id=self._task_of_handle[handle])


def _messages(response_body: bytes) -> Iterable[tuple[str, str]]:
    """Yield the receipt handle and the body of each message in a response of the query protocol."""
    try:
        root = ET.fromstring(response_body)  # noqa: S314 - the response comes from the harness's own queue
    except ET.ParseError:
        return
    for message in root.iter():
        if message.tag.rpartition("}")[2] == "Message":
            fields = {field.tag.rpartition("}")[2]: field.text or "" for field in message}
            yield fields.get(HANDLE, ""), fields.get("Body", "")
