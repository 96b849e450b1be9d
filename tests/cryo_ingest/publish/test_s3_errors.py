"""The mapping of errors of an S3 store and its credentials: OUT-2, OUT-4, SEC-1."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.scripted_http import Answer, error, scripted_http

from cryo_ingest.errors import (
    ClockSkewed,
    CredentialsExpired,
    DiskFull,
    FatalError,
    IngestError,
    NoSuchBucket,
    RetryableError,
    StoreDenied,
    StoreUnavailable,
    StoreUnfit,
    UnsupportedKey,
)
from cryo_ingest.ports import AlreadyStored, Changed, ObjectStore, StoredObject
from cryo_ingest.publish.local import writing_copy
from cryo_ingest.publish.s3_client import endpoint_url
from cryo_ingest.publish.stores import open_store
from cryo_ingest.settings import S3Settings

SECRET = "s3cr3t-value"
KEY_ID = "AKIDCANARY"
OPERATIONS = ("list", "read", "tail", "download", "create", "replace", "delete")

PAGE = (
    '<?xml version="1.0"?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>{}</Key>'
    '<Size>0</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>'
)


def store_at(url: str) -> ObjectStore:
    return open_store("s3://bucket", S3Settings(endpoint=url, access_key_id=KEY_ID, secret_access_key=SECRET))


def send(store: ObjectStore, operation: str, folder: Path) -> object:
    """Send one request and return its result or its exception."""
    listed = StoredObject("p/k", 10, '"e"')
    call = {
        "list": lambda: store.list("p/"),
        "read": lambda: store.read("p/k", max_bytes=10),
        "tail": lambda: store.read_tail(listed, max_bytes=5),
        "download": lambda: store.download(listed, folder / "copy"),
        "create": lambda: store.create("p/k", b"x", metadata={}),
        "replace": lambda: store.replace("p/k", b"x", metadata={}, etag='"e"'),
        "delete": lambda: store.delete(["p/k"]),
    }[operation]

    async def run() -> object:
        return await call()

    (folder / "copy").unlink(missing_ok=True)
    try:
        return asyncio.run(run())
    except (IngestError, AlreadyStored, Changed) as error:
        return error


def results_of(answer: Answer, folder: Path, operations: tuple[str, ...] = OPERATIONS) -> dict[str, object]:
    """Return every operation's result for one response; no message may have the endpoint, a key or foreign text."""
    with scripted_http(answer) as scripted:
        results = {operation: send(store_at(scripted.url), operation, folder) for operation in operations}
    for result in results.values():
        if isinstance(result, IngestError):
            assert not any(word in str(result) for word in (scripted.url, SECRET, KEY_ID, "169.254", "<"))
            assert len(str(result)) < 400
    return results


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(403, "AccessDenied"), StoreDenied),
        (Answer(403), StoreDenied),
        (Answer(401), StoreDenied),
        (error(403, "SignatureDoesNotMatch"), StoreDenied),
        (error(403, "InvalidAccessKeyId"), StoreDenied),
        (error(403, "RequestTimeTooSkewed"), ClockSkewed),
        (error(400, "ExpiredToken"), CredentialsExpired),
        (error(400, "AuthorizationHeaderMalformed"), NoSuchBucket),
        (error(301, "PermanentRedirect"), NoSuchBucket),
        (error(400, "InvalidBucketName"), NoSuchBucket),
        (error(400, "RequestTimeout"), StoreUnavailable),
        (Answer(400, b"x" * 200_000), StoreUnavailable),
    ],
    ids=lambda value: f"{value.status} {value.body[13:33]!r}" if isinstance(value, Answer) else value.__name__,
)
def test_out_4_an_error_response_is_mapped_the_same_for_every_operation(
    answer: Answer, expected: type[IngestError], tmp_path: Path
):
    """OUT-2, OUT-4: status and code decide, never the text of a message."""
    results = results_of(answer, tmp_path)
    assert {operation: type(result) for operation, result in results.items()} == dict.fromkeys(OPERATIONS, expected)


@pytest.mark.parametrize(
    "answer", [error(503, "SlowDown"), error(500, "InternalError"), error(429, "Busy"), Answer(None)]
)
def test_out_2_a_passing_error_is_retried_by_the_client_and_retryable(answer: Answer, tmp_path: Path):
    """OUT-2: errors of the store or of the network may pass."""
    with scripted_http(answer) as scripted:
        result = send(store_at(scripted.url), "create", tmp_path)
        assert len(scripted.requests) == 5
    assert isinstance(result, StoreUnavailable)
    assert result.outcome == "retryable_error"


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "NotImplemented"), (501, "X")])
def test_out_4_a_store_without_conditional_writes_is_unfit(status: int, code: str, tmp_path: Path):
    """OUT-4: the error is fatal."""
    assert isinstance(results_of(error(status, code), tmp_path, ("create",))["create"], StoreUnfit)


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")])
def test_lay_10_a_failed_condition_raises_the_ports_exception(status: int, code: str, tmp_path: Path):
    """LAY-10: this holds for 409 and 412."""
    results = results_of(error(status, code), tmp_path, ("create", "replace", "download"))
    assert {operation: type(result) for operation, result in results.items()} == {
        "create": AlreadyStored,
        "replace": Changed,
        "download": Changed,
    }


def test_lay_10_a_404_means_a_missing_object_only_for_reads_and_replaces(tmp_path: Path):
    """LAY-10: S3 does not answer NoSuchKey to a create, a delete or a listing."""
    results = results_of(error(404, "NoSuchKey"), tmp_path)
    assert results["read"] is results["tail"] is results["download"] is None
    assert isinstance(results["replace"], Changed)
    assert all(isinstance(results[operation], StoreUnavailable) for operation in ("list", "create", "delete"))


def test_out_4_a_missing_bucket_is_fatal_for_every_operation(tmp_path: Path):
    """OUT-4: a replace can't distinguish it from a missing key; the listing after it can."""
    results = results_of(error(404, "NoSuchBucket"), tmp_path)
    assert isinstance(results.pop("replace"), Changed)
    assert {type(result) for result in results.values()} == {NoSuchBucket}


def test_out_2_a_response_that_is_not_from_s3_is_retryable(tmp_path: Path):
    """OUT-2: a gateway may answer with HTML."""
    results = results_of(Answer(200, b"<html>welcome"), tmp_path, ("list", "create", "replace", "delete"))
    assert {type(result) for result in results.values()} == {StoreUnavailable}


@pytest.mark.parametrize("key", ["p/", "p//x.parquet", "p/./x"])
def test_lay_6_a_key_that_cannot_be_addressed_is_fatal(key: str, tmp_path: Path):
    """LAY-6: a marker `p/` looks like the key `p`, which is outside the prefix and must not be deleted."""
    with scripted_http(Answer(200, PAGE.format(key).encode())) as scripted:
        result = send(store_at(scripted.url), "list", tmp_path)
    assert isinstance(result, UnsupportedKey)
    assert result.key == key


def test_out_4_a_denied_delete_in_a_response_with_status_200_is_denied(tmp_path: Path):
    """OUT-4: S3 answers 200 to a batch of deletes, with a result for each key."""
    body = b"<DeleteResult><Error><Key>p/k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    result = results_of(Answer(200, body), tmp_path, ("delete",))["delete"]
    assert isinstance(result, StoreDenied)
    assert "s3:DeleteObject" in str(result)


@pytest.mark.parametrize("settings", [S3Settings(access_key_id=KEY_ID), S3Settings(secret_access_key=SECRET)])
def test_out_4_a_missing_key_of_a_pair_is_denied(settings: S3Settings, tmp_path: Path):
    """OUT-4, SEC-1: the message gives advice, and does not contain the other key."""
    for operation in OPERATIONS:
        result = send(open_store("s3://bucket", settings), operation, tmp_path)
        assert isinstance(result, StoreDenied)
        assert "AWS_SECRET_ACCESS_KEY" in str(result)
        assert SECRET not in str(result)


def test_stg_7_a_full_local_disk_is_not_an_error_of_the_store(tmp_path: Path):
    """STG-7: a download without disk space raises DiskFull."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with (
        full.open("wb", buffering=0) as file,
        pytest.raises(DiskFull, match=str(tmp_path)),
        writing_copy(tmp_path / "copy", 1),
    ):
        file.write(b"x")


IN_A_PROCESS = """
import asyncio, json, os, sys
from cryo_ingest.publish.stores import open_store
from cryo_ingest.settings import S3Settings
settings = S3Settings(**json.loads(sys.argv[1]))
store = open_store("s3://bucket", settings)
async def main():
    await store.list("p/")
    await store.create("p/k", b"x", metadata={})
try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__, error, flush=True)
os._exit(0)  # obstore's threads can abort an interpreter that is being finalized
"""


def in_a_process(settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """List and create in a new process, since obstore reads the environment; return the error."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-c", IN_A_PROCESS, json.dumps(dict(settings))]
    done = subprocess.run(command, env=inherited | dict(environment), capture_output=True, text=True, check=True)
    return done.stdout


SUCCESS = Answer(200, PAGE.format("p/k").encode(), (("ETag", '"e"'),))


def test_aws_variables_override_no_setting():
    """Requests go to the configured endpoint, are signed with the configured keys, and are conditional."""
    with scripted_http(SUCCESS) as ours, scripted_http(SUCCESS) as other:
        ambient = {
            "AWS_ENDPOINT_URL_S3": other.url,
            "AWS_ENDPOINT_URL": other.url,
            "AWS_ENDPOINT": other.url,
            "AWS_ACCESS_KEY_ID": "other-key",
            "AWS_SECRET_ACCESS_KEY": "other-secret",
            "AWS_SESSION_TOKEN": "of-other-keys",
            "AWS_REGION": "eu-other-1",
            "AWS_BUCKET": "other-bucket",
            "AWS_SKIP_SIGNATURE": "true",
            "AWS_UNSIGNED_PAYLOAD": "true",
            "AWS_CONDITIONAL_PUT": "disabled",
            "AWS_S3_EXPRESS": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
            "AWS_CHECKSUM_ALGORITHM": "crc64nvme",
        }
        settings = {"endpoint": ours.url, "access_key_id": KEY_ID, "secret_access_key": SECRET}
        assert in_a_process(settings, ambient) == ""
    assert other.requests == []
    (_, _, listing), (method, path, put) = ours.requests
    assert (method, path) == ("PUT", "/bucket/p/k")
    for headers in (listing, put):
        assert f"Credential={KEY_ID}/" in headers["authorization"]
        assert "/us-east-1/s3/" in headers["authorization"]
        assert "x-amz-security-token" not in headers
    assert put["if-none-match"] == "*"
    assert put["x-amz-checksum-sha256"]
    assert put["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, "StoreDenied"), (403, "StoreDenied"), (503, "StoreUnavailable"), (None, "StoreDenied")],
)
def test_out_4_an_instance_without_a_role_is_denied_but_a_busy_service_is_retryable(status: int | None, expected: str):
    """OUT-2, OUT-4: missing credentials are fatal, with advice; a busy metadata service is retryable."""
    with scripted_http(Answer(status)) as metadata, scripted_http(SUCCESS) as ours:
        output = in_a_process({"endpoint": ours.url}, {"AWS_METADATA_ENDPOINT": metadata.url})
    assert output.startswith(expected)
    assert ("give the task or instance a role" in output) is (expected == "StoreDenied")
    assert metadata.url not in output
    assert ours.requests == []


def test_out_4_a_web_identity_without_its_token_file_is_denied():
    """OUT-4: the configured role can't be assumed."""
    output = in_a_process(
        {"endpoint": "http://127.0.0.1:9"}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": "arn:x"}
    )
    assert output.startswith("StoreDenied")
    assert "/nowhere" not in output


@pytest.mark.parametrize(
    ("bucket", "region", "expected"),
    [
        ("data", None, "https://data.s3.us-east-1.amazonaws.com"),
        ("data", "eu-west-1", "https://data.s3.eu-west-1.amazonaws.com"),
        ("my.data", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("data", "cn-north-1", "https://data.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_on_aws_the_endpoint_is_that_of_the_region(bucket: str, region: str | None, expected: str):
    """The host name has the bucket's name, unless a dot in it would not match the certificate."""
    assert endpoint_url(bucket, S3Settings(region=region)) == expected


def test_an_error_is_fatal_or_retryable_never_both():
    """OUT-1: this holds for the errors of the store."""
    fatal = (NoSuchBucket, StoreDenied, StoreUnfit, UnsupportedKey)
    assert all(issubclass(leaf, FatalError) and not issubclass(leaf, RetryableError) for leaf in fatal)
