"""The proxy's store faults by name, as an S3 client sees them."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from harness.faults import StoreFault
from harness.faults.store import SKEW_SECONDS, Operation
from harness.stores.bucket import Bucket, S3Endpoint
from harness.stores.defects import apply_defect
from harness.stores.proxy import StoreProxy

BODY = b"0123456789" * 200
NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)


@pytest.fixture(params=["cryo_moto", pytest.param("minio", marks=pytest.mark.docker)])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    endpoint: S3Endpoint = request.getfixturevalue(request.param)
    return endpoint.make_bucket()


def before(bucket: Bucket, operation: Operation = "put", **fields: Any) -> StoreProxy:
    """Return a proxy with one fault."""
    fault = StoreFault(operation=operation, **fields)
    return StoreProxy(bucket.endpoint.url, fault, keys=bucket.endpoint, clock=NOW.timestamp)


def through(bucket: Bucket, proxy: StoreProxy) -> Callable[..., Any]:
    """Return a PUT of one key through a proxy."""
    client = replace(bucket.endpoint, url=proxy.url).client()
    return lambda body=BODY, key="k", **condition: client.put_object(
        Bucket=bucket.name, Key=key, Body=body, ChecksumAlgorithm="SHA256", **condition
    )


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def status_of(url: str, bucket: Bucket) -> tuple[int, str]:
    """List a bucket once, without the retries of an SDK."""
    answer = requests.get(f"{url}/{bucket.name}?list-type=2", timeout=10)
    return answer.status_code, "".join(re.findall("<Code>(.*)</Code>", answer.text))


@pytest.mark.parametrize(
    ("do", "kept"),
    [
        ("keep-empty", b""),
        ("keep-half", BODY[: len(BODY) // 2]),
        ("keep-framed", b"7d0;chunk-signature=0\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ],
)
def test_a_store_keeps_other_bytes_than_were_sent(do: str, kept: bytes, bucket: Bucket):
    """The PUT is answered with 200 whatever its checksum, and other bytes are stored."""
    with before(bucket, do=do) as proxy:
        assert through(bucket, proxy)()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert bucket.contents() == {"k": kept}


def test_a_store_ignores_conditions(bucket: Bucket):
    """Create-only and If-Match PUTs replace the object; nothing else about them changes."""
    bucket.put("k", b"first")
    with before(bucket, do="ignore-conditions") as proxy:
        put = through(bucket, proxy)
        put(IfNoneMatch="*")
        assert bucket.contents() == {"k": BODY}
        put(b"third", IfMatch='"0"', Metadata={"rows": "1"})
    assert bucket.contents() == {"k": b"third"}
    assert bucket.metadata("k") == {"rows": "1"}


def test_a_store_ignores_only_if_match(bucket: Bucket):
    """With `replacing`, create-only PUTs are still conditional."""
    bucket.put("k", b"first")
    with before(bucket, do="ignore-conditions", replacing=True) as proxy:
        put = through(bucket, proxy)
        assert refusal(lambda: put(IfNoneMatch="*")) == (412, "PreconditionFailed")
        put(IfMatch='"0"')
    assert bucket.contents() == {"k": BODY}


def test_a_store_rejects_etags_in_quotes(bucket: Bucket):
    """A right If-Match in quotes gets 412; without quotes it is compared and replaces the object."""
    with before(bucket, do="refuse-quoted-etags") as proxy:
        put = through(bucket, proxy)
        etag = put(b"first", IfNoneMatch="*")["ETag"]
        assert refusal(lambda: put(IfMatch=etag)) == (412, "PreconditionFailed")
        assert bucket.contents() == {"k": b"first"}
        put(IfMatch=etag.strip('"'))
        assert refusal(lambda: put(b"third", IfMatch=etag.strip('"'))) == (412, "PreconditionFailed")
    assert bucket.contents() == {"k": BODY}


@pytest.mark.parametrize(
    ("do", "rejection"),
    [
        ("clock-skew", (403, "RequestTimeTooSkewed")),
        ("expired-token", (400, "ExpiredToken")),
        ("slow-down", (503, "SlowDown")),
    ],
)
def test_a_store_rejects_some_requests_and_accepts_the_next(do: str, rejection: tuple[int, str], cryo_moto: S3Endpoint):
    """A rejection applies from the nth request on, `times` times; the other requests are executed."""
    bucket = cryo_moto.make_bucket()
    with before(bucket, do=do, operation="any", nth=2, times=2) as proxy:
        ends = [status_of(proxy.url, bucket) for _ in range(4)]
        assert proxy.unfired == []
    assert ends == [(200, ""), rejection, rejection, (200, "")]


def test_the_error_about_a_skewed_clock_has_the_stores_time(cryo_moto: S3Endpoint):
    """From the Date header of the answer a worker can compute the error of its clock."""
    bucket = cryo_moto.make_bucket()
    with before(bucket, do="clock-skew", operation="list") as proxy, pytest.raises(ClientError) as caught:
        replace(bucket.endpoint, url=proxy.url).client().list_objects_v2(Bucket=bucket.name)
    date = parsedate_to_datetime(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert (date - NOW).total_seconds() == SKEW_SECONDS


def test_a_streamed_upload_is_decoded():
    """A body in signed chunks is decoded, apply_defect, and forwarded without chunks."""
    headers = {"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding": "aws-chunked"}
    found = apply_defect("keep-half", headers, b"4\r\nabcd\r\n0\r\nx-amz-checksum-sha256:x\r\n\r\n")
    assert found is not None
    assert found.body == b"ab"
    assert found.headers.keys() == {"x-amz-content-sha256"}
