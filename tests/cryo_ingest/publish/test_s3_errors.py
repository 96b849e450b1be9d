"""What each fault of an S3 store, or of its credentials, means to an attempt: OUT-2, OUT-4, SEC-1."""

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
    UnmanageableKey,
)
from cryo_ingest.ports import AlreadyStored, Changed, ObjectStore, StoredObject
from cryo_ingest.publish.s3 import _write
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


def given_keys(url: str) -> ObjectStore:
    return open_store("s3://bucket", S3Settings(endpoint=url, access_key_id=KEY_ID, secret_access_key=SECRET))


def ask(store: ObjectStore, operation: str, folder: Path) -> object:
    """Make one request and return its result or what it raised."""
    listed = StoredObject("p/k", 10, '"e"')
    asked = {
        "list": lambda: store.list("p/"),
        "read": lambda: store.read("p/k", max_bytes=10),
        "tail": lambda: store.read_tail(listed, max_bytes=5),
        "download": lambda: store.download(listed, folder / "copy"),
        "create": lambda: store.create("p/k", b"x", metadata={}),
        "replace": lambda: store.replace("p/k", b"x", metadata={}, etag='"e"'),
        "delete": lambda: store.delete(["p/k"]),
    }[operation]

    async def run() -> object:
        return await asked()

    (folder / "copy").unlink(missing_ok=True)
    try:
        return asyncio.run(run())
    except (IngestError, AlreadyStored, Changed) as raised:
        return raised


def answered(answer: Answer, folder: Path, operations: tuple[str, ...] = OPERATIONS) -> dict[str, object]:
    """Give one answer to every operation; no message may hold the endpoint, a key, or the store's own words."""
    with scripted_http(answer) as scripted:
        results = {operation: ask(given_keys(scripted.url), operation, folder) for operation in operations}
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
def test_out_4_an_answer_means_the_same_to_every_operation(answer: Answer, expected: type[IngestError], tmp_path: Path):
    """OUT-2, OUT-4: told by status and code, never by words that a message happens to hold."""
    results = answered(answer, tmp_path)
    assert {operation: type(result) for operation, result in results.items()} == dict.fromkeys(OPERATIONS, expected)


@pytest.mark.parametrize(
    "answer", [error(503, "SlowDown"), error(500, "InternalError"), error(429, "Busy"), Answer(None)]
)
def test_out_2_what_may_pass_is_retried_a_few_times_and_is_retryable(answer: Answer, tmp_path: Path):
    """OUT-2: a fault of the store's own or of the network."""
    with scripted_http(answer) as scripted:
        result = ask(given_keys(scripted.url), "create", tmp_path)
        assert len(scripted.requests) == 5
    assert isinstance(result, StoreUnavailable)
    assert result.outcome == "retryable_error"


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "NotImplemented"), (501, "X")])
def test_out_4_a_store_without_conditional_writes_is_unfit(status: int, code: str, tmp_path: Path):
    """OUT-4: fatal, for no retry gives a store what it lacks."""
    assert isinstance(answered(error(status, code), tmp_path, ("create",))["create"], StoreUnfit)


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")])
def test_lay_10_a_refused_condition_is_told_as_the_port_has_it(status: int, code: str, tmp_path: Path):
    """LAY-10: 409 and 412 alike: something is there already, or is no longer what was seen."""
    results = answered(error(status, code), tmp_path, ("create", "replace", "download"))
    assert {operation: type(result) for operation, result in results.items()} == {
        "create": AlreadyStored,
        "replace": Changed,
        "download": Changed,
    }


def test_lay_10_a_404_means_gone_to_what_was_there_and_a_fault_to_the_rest(tmp_path: Path):
    """LAY-10: `If-Match` on nothing is a change; a create, a delete or a listing that finds nothing is no S3."""
    results = answered(error(404, "NoSuchKey"), tmp_path)
    assert results["read"] is results["tail"] is results["download"] is None
    assert isinstance(results["replace"], Changed)
    assert all(isinstance(results[operation], StoreUnavailable) for operation in ("list", "create", "delete"))


def test_out_4_no_such_bucket_whichever_operation_finds_it_out(tmp_path: Path):
    """OUT-4: fatal; `If-Match` alone can't tell it from a key that is gone, and the listing that follows does."""
    results = answered(error(404, "NoSuchBucket"), tmp_path)
    assert isinstance(results.pop("replace"), Changed)
    assert {type(result) for result in results.values()} == {NoSuchBucket}


def test_a_page_that_is_no_s3_answer_is_retryable(tmp_path: Path):
    """OUT-2: a gateway's page of HTML is nothing that was stored."""
    results = answered(Answer(200, b"<html>welcome"), tmp_path, ("list", "create", "replace", "delete"))
    assert {type(result) for result in results.values()} == {StoreUnavailable}


@pytest.mark.parametrize("key", ["p/", "p//x.parquet", "p/./x"])
def test_lay_6_a_key_that_cannot_be_addressed_is_named_and_nothing_beside_the_prefix_is_touched(
    key: str, tmp_path: Path
):
    """LAY-6: a marker `p/` looks like the key `p`, which is another's: it is fatal, never deleted in its place."""
    with scripted_http(Answer(200, PAGE.format(key).encode())) as scripted:
        result = ask(given_keys(scripted.url), "list", tmp_path)
    assert isinstance(result, UnmanageableKey)
    assert result.key == key


def test_out_4_a_delete_that_is_denied_within_a_good_answer_is_denied(tmp_path: Path):
    """OUT-4: S3 answers 200 to a batch of deletes and tells of each key inside."""
    body = b"<DeleteResult><Error><Key>p/k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    result = answered(Answer(200, body), tmp_path, ("delete",))["delete"]
    assert isinstance(result, StoreDenied)
    assert "s3:DeleteObject" in str(result)


@pytest.mark.parametrize("settings", [S3Settings(access_key_id=KEY_ID), S3Settings(secret_access_key=SECRET)])
def test_out_4_half_a_pair_of_keys_is_denied(settings: S3Settings, tmp_path: Path):
    """OUT-4, SEC-1: fatal, with advice, and without the half that is there."""
    for operation in OPERATIONS:
        result = ask(open_store("s3://bucket", settings), operation, tmp_path)
        assert isinstance(result, StoreDenied)
        assert "AWS_SECRET_ACCESS_KEY" in str(result)
        assert SECRET not in str(result)


def test_a_full_local_disk_is_told_as_such(tmp_path: Path):
    """STG-7: the copy of a stored object that finds no room is the disk's fault, not the store's."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("wb", buffering=0) as file, pytest.raises(DiskFull, match=str(tmp_path)):
        asyncio.run(_write(file, b"x", tmp_path / "copy", 1))


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
    """List and create in a process of its own, for obstore reads the environment; return how it failed."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-c", IN_A_PROCESS, json.dumps(dict(settings))]
    done = subprocess.run(command, env=mine | dict(environment), capture_output=True, text=True, check=True)
    return done.stdout


GOOD_ANSWER = Answer(200, PAGE.format("p/k").encode(), (("ETag", '"e"'),))


def test_the_environment_of_aws_overrides_no_setting():
    """Where requests go, that they are signed with the given keys, and conditional, is what the settings say."""
    with scripted_http(GOOD_ANSWER) as ours, scripted_http(GOOD_ANSWER) as other:
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
def test_out_4_an_instance_without_a_role_is_denied_one_that_is_busy_is_not(status: int | None, expected: str):
    """OUT-2, OUT-4: no credentials to be found are fatal, with advice; a metadata service that is busy is retryable."""
    with scripted_http(Answer(status)) as metadata, scripted_http(GOOD_ANSWER) as ours:
        said = in_a_process({"endpoint": ours.url}, {"AWS_METADATA_ENDPOINT": metadata.url})
    assert said.startswith(expected)
    assert ("give the task or instance a role" in said) is (expected == "StoreDenied")
    assert metadata.url not in said
    assert ours.requests == []


def test_out_4_a_web_identity_without_its_token_file_is_denied():
    """OUT-4: a role that is named but can't be taken."""
    said = in_a_process(
        {"endpoint": "http://127.0.0.1:9"}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": "arn:x"}
    )
    assert said.startswith("StoreDenied")
    assert "/nowhere" not in said


@pytest.mark.parametrize(
    ("bucket", "region", "expected"),
    [
        ("data", None, "https://data.s3.us-east-1.amazonaws.com"),
        ("data", "eu-west-1", "https://data.s3.eu-west-1.amazonaws.com"),
        ("my.data", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("data", "cn-north-1", "https://data.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_on_aws_the_endpoint_is_the_regions_own(bucket: str, region: str | None, expected: str):
    """A bucket's name is in the host name unless a dot in it would fit no certificate."""
    assert endpoint_url(bucket, S3Settings(region=region)) == expected


def test_an_error_is_fatal_or_retryable_never_both():
    """OUT-1: the leaves that this area raises."""
    fatal = (NoSuchBucket, StoreDenied, StoreUnfit, UnmanageableKey)
    assert all(issubclass(leaf, FatalError) and not issubclass(leaf, RetryableError) for leaf in fatal)
