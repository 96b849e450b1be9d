"""The wake-up queue on SQS, on moto's server."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
from support.scripted_http import Answer, scripted_http
from support.service import until

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.serve.ports import Message, QueueUnavailable
from cryo_ingest.serve.queue import SqsQueue, open_queue, origin, poll_seconds, region_of
from cryo_ingest.serve.settings import ServiceSettings
from cryo_ingest.settings import S3Settings
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy
from harness.stores.queue import Queue, make_queue


@pytest.fixture
def sqs(cryo_moto: S3Endpoint) -> Queue:
    """A fresh queue."""
    return make_queue(cryo_moto)


def with_queue(url: str, endpoint: str | None, act: Callable[[SqsQueue], Awaitable[None]]) -> None:
    """Open a queue, call `act` with it, and close it."""
    service = ServiceSettings("http://127.0.0.1:9", "token", url, "bucket", sqs_endpoint=endpoint)

    async def main() -> None:
        queue = await open_queue(service, S3Settings(access_key_id="a", secret_access_key="b", region="us-east-1"))
        try:
            await act(queue)
        finally:
            queue.close()

    asyncio.run(main())


def test_a_message_is_received_hidden_returned_and_deleted(sqs: Queue):
    """The queue: a delivered message is invisible until its visibility timeout."""

    async def act(queue: SqsQueue) -> None:
        assert await queue.receive(wait_seconds=0) is None
        sqs.send_text("a body")
        message = await queue.receive(wait_seconds=1)
        assert message is not None
        assert message.body == "a body"
        assert message.receipt not in repr(message)
        assert (sqs.depth(), sqs.in_flight()) == (0, 1)
        await queue.hide(message, seconds=0)
        assert (sqs.depth(), sqs.in_flight()) == (1, 0)
        again = await queue.receive(wait_seconds=1)
        assert again is not None
        await queue.hide(again, seconds=60)
        await queue.acknowledge(again)
        assert (sqs.depth(), sqs.in_flight()) == (0, 0)

    with_queue(sqs.url, None, act)


def test_lse_4_a_cancelled_poll_returns_its_message_to_the_queue(sqs: Queue):
    """LSE-4: other consumers can receive a message that arrives after the cancellation at once."""

    async def act(queue: SqsQueue) -> None:
        polling = asyncio.ensure_future(queue.receive(wait_seconds=3))
        await asyncio.to_thread(until, lambda: bool(proxy.requests))
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        sqs.send_text("late")
        received = await asyncio.to_thread(sqs.client.receive_message, QueueUrl=sqs.url, WaitTimeSeconds=5)
        assert received.get("Messages"), "the cancelled poll kept the message"

    with StoreProxy(sqs.endpoint.url) as proxy:
        with_queue(sqs.url, proxy.url, act)


def test_sec_1_the_error_of_a_missing_queue_has_its_code_but_not_its_url(cryo_moto: S3Endpoint):
    """LSE-5, SEC-1: the URL is not in the message."""

    async def act(queue: SqsQueue) -> None:
        with pytest.raises(QueueUnavailable) as caught:
            await queue.receive(wait_seconds=0)
        assert "NonExistentQueue" in str(caught.value) or "QueueDoesNotExist" in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)

    with_queue(f"{cryo_moto.url}/123456789012/nope", None, act)


@pytest.mark.parametrize(
    ("operation", "action"),
    [("receive", "ReceiveMessage"), ("hide", "ChangeMessageVisibility"), ("acknowledge", "DeleteMessage")],
)
def test_lse_5_a_failed_request_is_queue_unavailable_for_every_operation(operation: str, action: str):
    """LSE-5: any error of the server raises QueueUnavailable."""
    message = Message("body", "receipt")

    async def act(queue: SqsQueue) -> None:
        send = {
            "receive": lambda: queue.receive(wait_seconds=0),
            "hide": lambda: queue.hide(message, seconds=1),
            "acknowledge": lambda: queue.acknowledge(message),
        }[operation]
        with pytest.raises(QueueUnavailable):
            await send()

    with scripted_http(Answer(400, b"no JSON")) as server:
        with_queue("https://sqs.eu-west-3.amazonaws.com/1/q", server.url, act)
    assert {headers["x-amz-target"] for _, _, headers in server.requests} == {f"AmazonSQS.{action}"}
    assert "eu-west-3/sqs" in server.requests[0][2]["authorization"]


def test_the_queues_url_has_the_endpoint_and_the_region():
    """Without SQS_ENDPOINT requests go to the origin of the queue's URL, signed for its region."""
    url = "https://sqs.eu-west-3.amazonaws.com/123/name"
    assert origin(url) == "https://sqs.eu-west-3.amazonaws.com"
    assert region_of(url) == "eu-west-3"
    assert region_of("http://127.0.0.1:5000/123/name") is None


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.us-west-2.amazonaws.com", "us-west-2"),
        ("us-west-2.queue.amazonaws.com", "us-west-2"),
        ("queue.amazonaws.com", "us-east-1"),
        ("vpce-0a1b2c3d-e4f5.sqs.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("vpce-0a1b2c3d-e4f5-us-west-2a.sqs.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("sqs.us-west-2.api.aws", "us-west-2"),
        ("sqs-fips.us-west-2.api.aws", "us-west-2"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("sqs.ap-southeast-4.amazonaws.com", "ap-southeast-4"),
        ("sqs.us-east-1.localhost.localstack.cloud", "us-east-1"),
        ("elasticmq.internal", None),
        ("mysqs.us-west-2.example.com", None),
    ],
)
def test_a_queues_url_names_its_region_in_every_form_of_aws(host: str, region: str | None):
    """VPC endpoints, FIPS, dual stack, partitions and legacy forms are recognized."""
    assert region_of(f"https://{host}/123456789012/q.fifo") == region


def test_a_queue_without_a_region_needs_aws_region():
    """Exit code 78 if neither the URL nor AWS_REGION has a region."""
    service = ServiceSettings("http://127.0.0.1:9", "token", "https://elasticmq.internal/1/q", "bucket")
    with pytest.raises(ConfigurationError, match=r"TASK_WAKEUP_QUEUE: .*AWS_REGION"):
        asyncio.run(open_queue(service, S3Settings()))


@pytest.mark.parametrize(("grace", "poll"), [(25.0, 8), (120.0, 20), (1.0, 1), (6.0, 2)])
def test_lse_4_a_poll_is_short_enough_for_the_grace_period(grace: float, poll: int):
    """LSE-4: a draining service waits for its poll, so that a stopped worker hides no message."""
    assert poll_seconds(grace) == poll


def test_without_boto3_the_error_names_the_extra():
    """Exit code 78: only the service needs boto3."""
    program = (
        "import sys; sys.modules['boto3'] = None; from cryo_ingest.cli import main; sys.argv[1:] = ['worker']; main()"
    )
    environment = {
        "DISPATCHER_URL": "http://127.0.0.1:9",
        "TRACE_WORKER_TOKEN": "token",
        "TASK_WAKEUP_QUEUE": "http://127.0.0.1:9/1/q",
        "S3_BUCKET": "bucket",
    }
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "pip install 'boto3>=1.40'" in ran.stderr
