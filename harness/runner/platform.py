"""The dispatcher and the wake-up queue of a service, with a record of every exchange."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.fakes.dispatcher import Dispatcher, DispatcherServer
from harness.history import DispatcherCall, FaultFired
from harness.runner.wakeups import QueueListener
from harness.stores.proxy import StoreProxy
from harness.stores.queue import make_queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from harness.fakes.dispatcher import DispatcherRequest
    from harness.fakes.dispatcher.delivery import Delivery
    from harness.runner.recorder import Recorder
    from harness.scenario import Scenario
    from harness.stores.bucket import S3Endpoint

VISIBILITY_SECONDS = 3


class _ObservedDispatcher(Dispatcher):
    """A dispatcher that calls a function after each request has had its effect and before it is answered."""

    def __init__(self, observe: Callable[[], None], **settings: Any) -> None:
        super().__init__(**settings)
        self._observe = observe

    def handle(self, request: DispatcherRequest) -> Delivery:
        """Handle one request."""
        delivery = super().handle(request)
        self._observe()
        return delivery


class RunningPlatform:
    """A dispatcher and a queue that run; `worker_queue` is the queue as workers see it, through a recording proxy."""

    def __init__(
        self, scenario: Scenario, recorder: Recorder, stack: ExitStack, *, queues: S3Endpoint, bucket: str | None
    ) -> None:
        self._recorder = recorder
        self._recorded = 0
        self._recording = threading.RLock()
        settings = scenario.platform
        proxy = stack.enter_context(StoreProxy(queues.url, listener=QueueListener(recorder)))
        self.queue = make_queue(queues, visibility_seconds=VISIBILITY_SECONDS)
        # Older clients send their requests to the address in the queue's URL, newer ones to the endpoint.
        self.worker_queue = replace(
            self.queue, endpoint=replace(queues, url=proxy.url), url=proxy.url + urlsplit(self.queue.url).path
        )
        self.dispatcher = _ObservedDispatcher(
            self.record_exchanges,
            queue=self.queue, form=settings.form, lease_seconds=settings.lease_seconds, bucket=bucket,
            max_attempts=settings.max_attempts, backoff_seconds=settings.backoff_seconds, wakeups=settings.wakeups,
        )  # fmt: skip
        recorder.secrets.add({"worker-token": self.dispatcher.worker_token})
        self.server = stack.enter_context(DispatcherServer(self.dispatcher, scenario.dispatcher_faults))
        self.server.on_request(lambda _: self.hide_tokens())

    def hide_tokens(self) -> None:
        """Tell the recorder of the tokens that were handed out since the last call."""
        tokens = {label.replace(" ", "-"): token for label, token in self.dispatcher.secrets.items()}
        self._recorder.secrets.add(tokens)

    def record_exchanges(self) -> None:
        """Record the dispatcher's requests and answers since the last call."""
        with self._recording:
            journal = self.dispatcher.journal
            while self._recorded < len(journal):
                exchange = journal[self._recorded]
                self._recorded += 1
                self._recorder.add(
                    DispatcherCall,
                    kind=exchange.kind or "unknown_request",
                    task_id=exchange.task_id,
                    attempt=exchange.attempt,
                    request=dict(exchange.request),
                    status=exchange.status,
                    response=dict(exchange.answer),
                    fault=exchange.fault,
                )
                if exchange.fault:
                    self._recorder.add(FaultFired, fault=f"dispatcher {exchange.kind} {exchange.fault}")
