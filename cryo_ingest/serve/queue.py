"""The wake-up queue on SQS, with boto3 in threads. Parsing messages is in `consumer.py`.

boto3 comes with the extra `sqs`; it is imported only here, when a service starts.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.network import certificate_bundle
from cryo_ingest.serve.ports import Message, QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from cryo_ingest.serve.settings import ServiceSettings
    from cryo_ingest.settings import S3Settings

VISIBILITY_SECONDS = 60
"""How long a delivery or an extension hides a message; after a worker's death it is delivered again then."""

MAX_POLL_SECONDS = 20
"""SQS's longest long poll."""


def poll_seconds(grace_seconds: float) -> int:
    """Return how long a poll may take: a service that shuts down waits for the poll, within its grace period."""
    return min(MAX_POLL_SECONDS, max(1, int(grace_seconds / 3)))


class SqsQueue:
    """One SQS queue; see `ports.WakeupQueue`. `concurrency` is the number of consumers.

    `certificates` is a file for the client, deleted when the queue is closed.
    """

    def __init__(self, client: Any, url: str, *, concurrency: int, certificates: IO[bytes] | None = None) -> None:
        self._client, self._url, self._certificates = client, url, certificates
        # A poll uses its thread for 20 s, so polls and other calls have separate threads.
        self._polls = ThreadPoolExecutor(concurrency, thread_name_prefix="sqs-poll")
        self._calls = ThreadPoolExecutor(concurrency, thread_name_prefix="sqs-call")

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Long-poll in a thread, which continues after a cancellation and then returns its message to the queue."""
        polling = self._polls.submit(self._receive, wait_seconds)
        try:
            return await asyncio.wrap_future(polling)
        except asyncio.CancelledError:
            polling.add_done_callback(self._return_message)
            raise

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Set the delivery's visibility timeout."""
        await asyncio.wrap_future(self._calls.submit(self._hide, message, seconds))

    async def acknowledge(self, message: Message) -> None:
        """Delete the message."""
        arguments = {"ReceiptHandle": message.receipt}
        await asyncio.wrap_future(
            self._calls.submit(self._call, "DeleteMessage", self._client.delete_message, arguments)
        )

    def close(self) -> None:
        """Stop the threads; a running poll ends later."""
        self._polls.shutdown(wait=False)
        self._calls.shutdown(wait=False)
        if self._certificates is not None:
            self._certificates.close()

    def _receive(self, wait_seconds: int) -> Message | None:
        arguments = {
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": VISIBILITY_SECONDS,
        }
        response = self._call("ReceiveMessage", self._client.receive_message, arguments)
        messages = response.get("Messages") or []
        return Message(messages[0]["Body"], messages[0]["ReceiptHandle"]) if messages else None

    def _hide(self, message: Message, seconds: int) -> None:
        arguments = {"ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
        self._call("ChangeMessageVisibility", self._client.change_message_visibility, arguments)

    def _return_message(self, polling: Future[Message | None]) -> None:
        if polling.cancelled() or polling.exception() is not None:
            return
        message = polling.result()
        if message is not None:
            with suppress(
                RuntimeError
            ):  # closed meanwhile: the message is delivered again after its visibility timeout
                self._calls.submit(self._hide, message, 0)

    def _call(self, operation: str, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only in a service

        try:
            return call(QueueUrl=self._url, **arguments)
        except ClientError as error:
            # Without the error's own text, which contains the queue's URL.
            raise QueueUnavailable(operation, error.response.get("Error", {}).get("Code", "unknown")) from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise QueueUnavailable(operation, type(error).__name__) from None


async def open_queue(
    service: ServiceSettings, s3: S3Settings, *, environment: Mapping[str, str] = os.environ
) -> SqsQueue:
    """Create the client in a thread, since boto3 takes half a second; no request is sent yet.

    Raises:
        ConfigurationError: the extra `sqs` is not installed, or the region is unknown.
    """
    certificates = _certificates(environment)
    client = await asyncio.to_thread(_client, service, s3, certificates)
    return SqsQueue(client, service.queue_url, concurrency=service.concurrency, certificates=certificates)


def _certificates(environment: Mapping[str, str]) -> IO[bytes] | None:
    """Write the certificate authorities of the environment to a file, since botocore only accepts a file."""
    bundle = None if environment.get("AWS_CA_BUNDLE") else certificate_bundle(environment)
    if bundle is None:
        return None
    file = tempfile.NamedTemporaryFile(prefix="cryo-ingest-certificates-", suffix=".pem")  # noqa: SIM115 - the queue closes it
    file.write(bundle)
    file.flush()
    return file


def _client(service: ServiceSettings, s3: S3Settings, certificates: IO[bytes] | None) -> Any:
    try:
        import boto3  # noqa: PLC0415 - only in a service
        from botocore.config import Config  # noqa: PLC0415 - as above
    except ImportError:
        problem = "needs boto3: pip install 'boto3>=1.40', or install this package with its extra sqs"
        raise ConfigurationError({"TASK_WAKEUP_QUEUE": problem}) from None
    keys: dict[str, Any] = {}
    if s3.access_key_id and s3.secret_access_key:
        keys = {
            "aws_access_key_id": s3.access_key_id,
            "aws_secret_access_key": s3.secret_access_key,
            "aws_session_token": s3.session_token,
        }
    return boto3.client(
        "sqs",
        endpoint_url=service.sqs_endpoint or origin(service.queue_url),
        region_name=_region(service.queue_url, s3),
        config=Config(
            connect_timeout=5,
            read_timeout=MAX_POLL_SECONDS + 10,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=2 * service.concurrency,
            # Without this setting botocore uses the proxy variables.
            proxies=None if s3.proxies.variables else {},
        ),
        verify=None if certificates is None else certificates.name,
        **keys,
    )


def _region(queue_url: str, s3: S3Settings) -> str:
    region = region_of(queue_url) or s3.region
    if region is None:
        problem = "names no region, which signatures need: use the queue's URL on AWS, or set AWS_REGION"
        raise ConfigurationError({"TASK_WAKEUP_QUEUE": problem})
    return region


def origin(queue_url: str) -> str:
    """Return the endpoint in a queue's URL."""
    parts = urlsplit(queue_url)
    return f"{parts.scheme}://{parts.netloc}"


def region_of(queue_url: str) -> str | None:
    """Return the region in a queue's URL, which may differ from the bucket's.

    AWS has the forms `sqs.REGION.…`, `sqs-fips.REGION.…`, `VPCE.sqs.REGION.vpce.…`, `REGION.queue.…` and, for
    us-east-1, `queue.amazonaws.com` (AWS General Reference, Amazon SQS endpoints).
    """
    host = urlsplit(queue_url).hostname or ""
    if host == "queue.amazonaws.com":
        return "us-east-1"
    region = r"([a-z]{2,4}(?:-[a-z]+)+-\d+)"
    match = re.search(rf"(?:^|\.)sqs(?:-fips)?\.{region}\.|^{region}\.queue\.", host)
    return None if match is None else match[1] or match[2]
