"""Measures the behaviour of a store where S3 rejects requests or gives guarantees, in a temporary bucket.

If a store accepts what S3 rejects, no scenario on it can show such an error, and the verdicts on it are INCONCLUSIVE.
"""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.stores.bucket import Bucket

RACERS = 8
CHECKSUMS, CREDENTIALS, RACES, STALE = "wrong checksums", "wrong credentials", "create-only races", "stale ETags"
_EXPECTED = {
    CHECKSUMS: ("wrong checksum", "400"),
    CREDENTIALS: ("wrong credentials", "403"),
    RACES: ("create-only race", f"1 of {RACERS}"),
    STALE: ("If-Match with a stale ETag", "412"),
}
"""By limitation: the question that reveals it, and how the answer of a store without it begins."""


def probe(bucket: Bucket) -> dict[str, str]:
    """Return the answers of a store by question."""
    client = bucket.client
    put: Callable[..., str] = lambda **arguments: _status(client.put_object, Bucket=bucket.name, **arguments)  # noqa: E731
    with ThreadPoolExecutor(RACERS) as pool:
        race = list(pool.map(lambda number: put(Key="race", Body=b"%d" % number, IfNoneMatch="*"), range(RACERS)))
    etag = client.put_object(Bucket=bucket.name, Key="etag", Body=b"1")["ETag"]
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    intruder = replace(bucket, endpoint=replace(bucket.endpoint, secret_key="wr0ng")).client  # noqa: S106 - wrong on purpose
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
        "wrong credentials": _status(intruder.list_objects_v2, Bucket=bucket.name),
        "listing after a PUT": "at once" if key in listed else "not at once",
        "unicode keys": "kept" if key in listed else "not kept",
    }


def limitations(answers: dict[str, str]) -> tuple[str, ...]:
    """Return the limitations of a store with these answers."""
    return tuple(name for name, (question, answer) in _EXPECTED.items() if not answers[question].startswith(answer))


def _status(call: Callable[..., Any], **arguments: Any) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - takes half a second

    try:
        return str(call(**arguments)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
