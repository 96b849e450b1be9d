"""A bucket on an S3 endpoint, for tests: created, inspected with boto3, and configured for a worker."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """The URL of an S3 server, and the keys of a user with all permissions."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def client(self) -> Any:
        """Return a boto3 client, cached, and independent of the worker's client."""
        return _client(self)

    def make_bucket(self, *, within_seconds: float | None = None) -> Bucket:
        """Create a bucket with a new name; with `within_seconds` the request has a timeout and is not repeated."""
        bucket = Bucket(self, f"test-{uuid.uuid4().hex[:20]}")
        client = bucket.client if within_seconds is None else _client(self, within_seconds)
        client.create_bucket(Bucket=bucket.name)
        return bucket


@cache
def _client(endpoint: S3Endpoint, within_seconds: float | None = None) -> Any:
    import boto3  # noqa: PLC0415 - takes half a second
    from botocore.config import Config  # noqa: PLC0415 - as above

    limits: dict[str, Any] = {"retries": {"max_attempts": 2}}
    if within_seconds is not None:
        limits = {"connect_timeout": within_seconds, "read_timeout": within_seconds}
        limits |= {"retries": {"total_max_attempts": 1}}
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
        config=Config(s3={"addressing_style": "path"}, **limits),
    )


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, read with its own client."""

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
        metadata: dict[str, str] = self.client.head_object(Bucket=self.name, Key=key)["Metadata"]
        return metadata

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> None:
        """Store an object; replace an existing one."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body, Metadata=metadata or {})

    def remove(self) -> None:
        """Delete the bucket with all its objects."""
        client = self.client
        for key in self.contents():
            client.delete_object(Bucket=self.name, Key=key)
        client.delete_bucket(Bucket=self.name)

    def environment(self) -> dict[str, str]:
        """Return the platform's variables that make a worker use this bucket."""
        return {
            "S3_BUCKET": self.name,
            "S3_ENDPOINT": self.endpoint.url,
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "AWS_REGION": self.endpoint.region,
        }
