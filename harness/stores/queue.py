"""An SQS queue on moto's server, for tests: created, filled, counted, and configured for a worker."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.stores.bucket import S3Endpoint


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue, inspected with its own client."""

    endpoint: S3Endpoint
    url: str
    client: Any

    def send(self, task_id: str) -> None:
        """Enqueue a wake-up."""
        self.send_text(json.dumps({"task_id": task_id}))

    def send_text(self, body: str) -> None:
        """Enqueue any message, also a malformed one."""
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def depth(self) -> int:
        """Count the messages that can be received."""
        return self._count("ApproximateNumberOfMessages")

    def in_flight(self) -> int:
        """Count the messages that were received, are not deleted, and are not visible again."""
        return self._count("ApproximateNumberOfMessagesNotVisible")

    def _count(self, name: str) -> int:
        answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def environment(self) -> dict[str, str]:
        """Return the platform's variables that make a worker use this queue, with its keys."""
        return {
            "TASK_WAKEUP_QUEUE": self.url,
            "SQS_ENDPOINT": self.endpoint.url,
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "AWS_REGION": self.endpoint.region,
        }


def make_queue(endpoint: S3Endpoint, *, visibility_seconds: int = 30) -> Queue:
    """Create a queue with a new name on an endpoint that serves SQS, such as moto."""
    import boto3  # noqa: PLC0415 - takes half a second

    client = boto3.client(
        "sqs",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    name = f"test-{uuid.uuid4().hex[:20]}"
    created = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility_seconds)})
    return Queue(endpoint, created["QueueUrl"], client)
