"""A bucket on an S3 endpoint as a test sees it: made, looked into from outside, and described to a worker."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """Where an S3 server is and the keys of a user who may do anything there."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def client(self) -> Any:
        """Return a boto3 client, independent of what the worker itself uses; the same one to whoever asks again."""
        return _client(self)

    def make_bucket(self, *, within_seconds: float | None = None) -> Bucket:
        """Make a bucket with a fresh name; where it has to be made within some time, the store is asked once."""
        bucket = Bucket(self, f"test-{uuid.uuid4().hex[:20]}")
        client = bucket.client if within_seconds is None else _client(self, within_seconds)
        client.create_bucket(Bucket=bucket.name)
        return bucket


@cache
def _client(endpoint: S3Endpoint, within_seconds: float | None = None) -> Any:
    import boto3  # noqa: PLC0415 - half a second, paid by whoever looks into a store
    from botocore.config import Config  # noqa: PLC0415 - as above

    patience: dict[str, Any] = {"retries": {"max_attempts": 2}}
    if within_seconds is not None:
        patience = {"connect_timeout": within_seconds, "read_timeout": within_seconds}
        patience |= {"retries": {"total_max_attempts": 1}}
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
        config=Config(s3={"addressing_style": "path"}, **patience),
    )


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket; what it holds is read by a client of its own."""

    endpoint: S3Endpoint
    name: str

    @property
    def client(self) -> Any:
        """A boto3 client."""
        return self.endpoint.client()

    def contents(self) -> dict[str, bytes]:
        """Return every object of the bucket, by key."""
        client = self.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def metadata(self, key: str) -> dict[str, str]:
        """Return the user metadata of an object."""
        found: dict[str, str] = self.client.head_object(Bucket=self.name, Key=key)["Metadata"]
        return found

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> None:
        """Store an object, whatever is there."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body, Metadata=metadata or {})

    def remove(self) -> None:
        """Delete the bucket with all that is in it."""
        client = self.client
        for key in self.contents():
            client.delete_object(Bucket=self.name, Key=key)
        client.delete_bucket(Bucket=self.name)

    def environment(self) -> dict[str, str]:
        """Return the platform's variables that point a worker here."""
        return {
            "S3_BUCKET": self.name,
            "S3_ENDPOINT": self.endpoint.url,
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "AWS_REGION": self.endpoint.region,
        }
