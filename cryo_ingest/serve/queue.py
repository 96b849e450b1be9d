"""The wake-up queue on SQS, through boto3 in threads of its own. What a message means is `slot.py`'s.

boto3 comes with the extra `sqs` and is imported only here, when a service starts.
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
"""How long a delivered message is hidden at first, and by each extension: a dead worker's comes back after this."""

MAX_POLL_SECONDS = 20
"""SQS's longest long poll."""


def poll_seconds(grace_seconds: float) -> int:
    """Return how long a poll may take: a service that drains waits for its answer, well within the grace period."""
    return min(MAX_POLL_SECONDS, max(1, int(grace_seconds / 3)))


class SqsQueue:
    """One SQS queue; see `ports.WakeupQueue`. `slots` is how many may wait for a message at once.

    `certificates` is a file that the client reads, and that is deleted when the queue is closed.
    """

    def __init__(self, client: Any, url: str, *, slots: int, certificates: IO[bytes] | None = None) -> None:
        self._client, self._url, self._certificates = client, url, certificates
        # A poll holds its thread for 20 s, so polls and all other calls have threads apart.
        self._polls = ThreadPoolExecutor(slots, thread_name_prefix="sqs-poll")
        self._calls = ThreadPoolExecutor(slots, thread_name_prefix="sqs-call")

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Long-poll in a thread, which goes on after a cancellation and then gives back what it got."""
        polling = self._polls.submit(self._receive, wait_seconds)
        try:
            return await asyncio.wrap_future(polling)
        except asyncio.CancelledError:
            polling.add_done_callback(self._give_back)
            raise

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Set the delivery's visibility timeout."""
        await asyncio.wrap_future(self._calls.submit(self._hide, message, seconds))

    async def acknowledge(self, message: Message) -> None:
        """Delete the message."""
        arguments = {"ReceiptHandle": message.receipt}
        await asyncio.wrap_future(
            self._calls.submit(self._ask, "DeleteMessage", self._client.delete_message, arguments)
        )

    def close(self) -> None:
        """Let the threads go; a poll that is on its way ends by itself."""
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
        answer = self._ask("ReceiveMessage", self._client.receive_message, arguments)
        messages = answer.get("Messages") or []
        return Message(messages[0]["Body"], messages[0]["ReceiptHandle"]) if messages else None

    def _hide(self, message: Message, seconds: int) -> None:
        arguments = {"ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
        self._ask("ChangeMessageVisibility", self._client.change_message_visibility, arguments)

    def _give_back(self, polling: Future[Message | None]) -> None:
        if polling.cancelled() or polling.exception() is not None:
            return
        message = polling.result()
        if message is not None:
            with suppress(RuntimeError):  # closed meanwhile: the message comes back by itself
                self._calls.submit(self._hide, message, 0)

    def _ask(self, operation: str, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only in a service

        try:
            return call(QueueUrl=self._url, **arguments)
        except ClientError as error:
            # Not the error's own words: they hold the queue's URL.
            raise QueueUnavailable(operation, error.response.get("Error", {}).get("Code", "unknown")) from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise QueueUnavailable(operation, type(error).__name__) from None


async def open_queue(service: ServiceSettings, s3: S3Settings, environment: Mapping[str, str] = os.environ) -> SqsQueue:
    """Make the client, half a second of boto3's, in a thread; nothing is contacted yet.

    Raises:
        ConfigurationError: the extra `sqs` is not installed, or no region is known.
    """
    certificates = _certificates(environment)
    client = await asyncio.to_thread(_client, service, s3, certificates)
    return SqsQueue(client, service.queue_url, slots=service.concurrency, certificates=certificates)


def _certificates(environment: Mapping[str, str]) -> IO[bytes] | None:
    """Write the authorities that the environment names to a file, the one form that botocore takes them in."""
    bundle = None if environment.get("AWS_CA_BUNDLE") else certificate_bundle(environment)
    if bundle is None:
        return None
    file = tempfile.NamedTemporaryFile(prefix="cryo-ingest-certificates-", suffix=".pem")  # noqa: SIM115 - the queue's
    file.write(bundle)
    file.flush()
    return file


def _client(service: ServiceSettings, s3: S3Settings, certificates: IO[bytes] | None) -> Any:
    try:
        import boto3  # noqa: PLC0415 - only in a service
        from botocore.config import Config  # noqa: PLC0415 - as above
    except ImportError:
        problem = "needs boto3: install this package with its extra, cryo-ingest[sqs]"
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
            # Without this botocore obeys the proxy variables by itself.
            proxies=None if s3.proxies.variables else {},
        ),
        verify=None if certificates is None else certificates.name,
        **keys,
    )


def _region(queue_url: str, s3: S3Settings) -> str:
    region = region_of(queue_url) or s3.region
    if region is None:
        problem = "names no region to sign requests for: use the URL that AWS gives, or set AWS_REGION"
        raise ConfigurationError({"TASK_WAKEUP_QUEUE": problem})
    return region


def origin(queue_url: str) -> str:
    """Return the part of a queue's URL that requests go to."""
    parts = urlsplit(queue_url)
    return f"{parts.scheme}://{parts.netloc}"


def region_of(queue_url: str) -> str | None:
    """Return the region that a queue's URL names: it need not be the bucket's.

    AWS has the forms `sqs.REGION.…`, `sqs-fips.REGION.…`, `VPCE.sqs.REGION.vpce.…`, `REGION.queue.…` and, for
    us-east-1, `queue.amazonaws.com` (AWS General Reference, Amazon SQS endpoints).
    """
    host = urlsplit(queue_url).hostname or ""
    if host == "queue.amazonaws.com":
        return "us-east-1"
    region = r"([a-z]{2,4}(?:-[a-z]+)+-\d+)"
    match = re.search(rf"(?:^|\.)sqs(?:-fips)?\.{region}\.|^{region}\.queue\.", host)
    return None if match is None else match[1] or match[2]
