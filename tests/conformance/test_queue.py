"""One suite for the wake-up queue: SQS on moto, and that of the simulation."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from simulation.adapter import QueuePort
from support.simulated import simulated_bench

from cryo_ingest.serve.ports import WakeupQueue
from cryo_ingest.serve.queue import open_queue
from cryo_ingest.serve.settings import ServiceSettings
from cryo_ingest.settings import S3Settings
from harness.simulate.loop import run_virtually
from harness.stores.queue import make_queue

TASK = "11111111-2222-4333-8444-555555555555"
Send = Callable[[str], None]
Act = Callable[[WakeupQueue, Send], Awaitable[None]]


@pytest.fixture(params=["moto", "simulated"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Act], None]:
    """Run a function with an empty queue, and with what sends a wake-up."""
    if request.param == "simulated":
        return lambda act: _run_simulated(act, tmp_path)
    endpoint = request.getfixturevalue("cryo_moto")

    def on_moto(act: Act) -> None:
        async def main() -> None:
            sqs = make_queue(endpoint)
            service = ServiceSettings("http://127.0.0.1:9", "token", sqs.url, "bucket")
            queue = await open_queue(service, S3Settings(access_key_id="a", secret_access_key="b", region="us-east-1"))
            try:
                await act(queue, sqs.send)
            finally:
                queue.close()

        asyncio.run(main())

    return on_moto


def _run_simulated(act: Act, folder: Path) -> None:
    async def main() -> None:
        bench = simulated_bench(folder)
        await act(QueuePort(bench), bench.doubles.queue.send)

    run_virtually(main())


def test_an_empty_queue_has_no_message(run: Callable[[Act], None]):
    """A poll without waiting returns at once."""

    async def act(queue: WakeupQueue, send: Send) -> None:
        del send
        assert await queue.receive(wait_seconds=0) is None

    run(act)


def test_a_delivered_message_is_invisible_until_it_is_returned(run: Callable[[Act], None]):
    """Hiding a message for 0 s returns it to the queue; the next delivery has another receipt."""

    async def act(queue: WakeupQueue, send: Send) -> None:
        send(TASK)
        message = await queue.receive(wait_seconds=1)
        assert message is not None
        assert TASK in message.body
        assert await queue.receive(wait_seconds=0) is None
        await queue.hide(message, seconds=0)
        again = await queue.receive(wait_seconds=1)
        assert again is not None
        assert again.body == message.body
        assert again.receipt != message.receipt

    run(act)


def test_a_message_that_is_deleted_never_comes_back(run: Callable[[Act], None]):
    """Deleting a message a second time succeeds, as SQS documents it."""

    async def act(queue: WakeupQueue, send: Send) -> None:
        send(TASK)
        message = await queue.receive(wait_seconds=1)
        assert message is not None
        await queue.acknowledge(message)
        await queue.acknowledge(message)
        assert await queue.receive(wait_seconds=0) is None

    run(act)


def test_a_hidden_message_comes_back_after_its_time(run: Callable[[Act], None]):
    """The visibility timeout is counted from the call."""

    async def act(queue: WakeupQueue, send: Send) -> None:
        send(TASK)
        message = await queue.receive(wait_seconds=1)
        assert message is not None
        await queue.hide(message, seconds=1)
        again = await queue.receive(wait_seconds=10)
        assert again is not None
        assert again.body == message.body

    run(act)
