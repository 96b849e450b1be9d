"""`cryo-harness probe-store`: what a store does with what S3 refuses or promises, measured on a bucket of its own."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.stores.backends import BadStore, backends

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.stores.bucket import Bucket

RACERS = 8


def probe(bucket: Bucket) -> dict[str, str]:
    """Return what a store does, by question."""
    client = bucket.client
    put: Callable[..., str] = lambda **told: _status(client.put_object, Bucket=bucket.name, **told)  # noqa: E731
    with ThreadPoolExecutor(RACERS) as pool:
        race = list(pool.map(lambda place: put(Key="race", Body=b"%d" % place, IfNoneMatch="*"), range(RACERS)))
    etag = client.put_object(Bucket=bucket.name, Key="etag", Body=b"1")["ETag"]
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    stranger = replace(bucket, endpoint=replace(bucket.endpoint, secret_key="wr0ng")).client  # noqa: S106 - that it is
    key = "ünï/кey ☃ +%20.parquet"
    client.put_object(Bucket=bucket.name, Key=key, Body=b"x")
    listed = [item["Key"] for item in client.list_objects_v2(Bucket=bucket.name)["Contents"]]
    return {
        "create-only race": f"{race.count('200')} of {RACERS} won",
        "create-only on an existing key": put(Key="race", Body=b"x", IfNoneMatch="*"),
        "If-Match with the right ETag": put(Key="etag", Body=b"2", IfMatch=etag),
        "If-Match with a stale ETag": put(Key="etag", Body=b"3", IfMatch=etag),
        "If-Match on a missing key": put(Key="missing", Body=b"3", IfMatch=etag),
        "wrong checksum": put(Key="sum", Body=b"x", ChecksumSHA256=wrong),
        "wrong credentials": _status(stranger.list_objects_v2, Bucket=bucket.name),
        "listing after a PUT": "at once" if key in listed else "not at once",
        "unicode keys": "kept" if key in listed else "not kept",
    }


def _status(call: Callable[..., Any], **told: Any) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - half a second, paid by whoever probes

    try:
        return str(call(**told)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"


def probe_command(store: Annotated[str, typer.Argument(metavar="URL", help="moto, minio, or a URL.")]) -> None:
    """Print what a store does with races, conditions, wrong checksums and keys, listing and unicode."""
    try:
        with backends(store) as around:
            for question, answer in probe(around.store.make_bucket()).items():
                typer.echo(f"{question:34} {answer}")
    except BadStore as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(64) from None
