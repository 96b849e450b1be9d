"""Faults of the object store and of its credentials: OUT-2, OUT-4, LAY-8, LAY-10."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.worker import PAYLOAD, Target, Worker, bare_cryo, behind, events, expected_contents

from harness.faults import StoreFault
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy

FILES = r"\.parquet$"
MANIFEST = r"_manifest\.json$"


@pytest.mark.parametrize(
    "fault",
    [
        StoreFault(operation="put", key=FILES, status=503, code="SlowDown", times=1),
        StoreFault(operation="put", key=FILES, when="after", times=1),
        StoreFault(operation="put", key=MANIFEST, times=1),
        StoreFault(operation="put", key=MANIFEST, when="after", status=503, code="SlowDown", times=1),
        StoreFault(operation="list", times=1),
    ],
    ids=["file before", "file after", "manifest before", "manifest after", "listing"],
)
def test_lay_10_a_passing_fault_before_or_after_its_effect_does_no_harm(
    fault: StoreFault, cryo_moto: S3Endpoint, worker: Worker, tmp_path: Path
):
    """LAY-10: a PUT whose answer was lost is read again and adopted; the prefix ends exact, in one attempt."""
    bucket = cryo_moto.make_bucket()
    with StoreProxy(cryo_moto.url, fault) as proxy:
        result = worker.run(behind(bucket, proxy))
    assert result.returncode == 0, result.stderr
    files = bare_cryo("fake-cryo", tmp_path / "bare", PAYLOAD, {"FAKE_CRYO_CHAIN_ID": str(PAYLOAD["chain_id"])})
    assert bucket.contents() == expected_contents(PAYLOAD, files)


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "error"),
    [
        (403, "AccessDenied", 69, "StoreDenied"),
        (501, "NotImplemented", 69, "StoreUnfit"),
        (404, "NoSuchBucket", 69, "NoSuchBucket"),
        (409, "ConditionalRequestConflict", 75, "PrefixContended"),
        (400, "RequestTimeout", 75, "StoreUnavailable"),
    ],
)
def test_out_4_a_lasting_fault_is_told_by_its_name(
    status: int, code: str, exit_code: int, error: str, cryo_moto: S3Endpoint, worker: Worker
):
    """OUT-2, OUT-4, PUB-3: fatal where somebody has to change something, else retryable; never a manifest."""
    bucket = cryo_moto.make_bucket()
    with StoreProxy(cryo_moto.url, StoreFault(operation="put", key=FILES, status=status, code=code)) as proxy:
        # The store is given time until the attempt's deadline.
        result = worker.run(behind(bucket, proxy), TRACE_CRYO_DEADLINE_SECONDS="8")
    assert (result.returncode, result.stdout) == (exit_code, "")
    assert events(result.stderr)[-1]["error"] == error
    assert bucket.contents() == {}


def test_lay_8_every_file_is_sent_with_a_digest_that_the_store_checks(cryo_moto: S3Endpoint, worker: Worker):
    """LAY-8: each PUT carries SHA-256 of its body for the store to check, and creates only."""
    bucket = cryo_moto.make_bucket()
    with StoreProxy(cryo_moto.url) as proxy:
        assert worker.run(behind(bucket, proxy)).returncode == 0
        puts = [seen for seen in proxy.requests if seen.method == "PUT"]
    assert len(puts) == 5, "three files, the manifest, and a repeated one that finds out whether conditions count"
    assert puts[-1].path.endswith("_manifest.json")
    for put in puts:
        headers = {name.lower(): value for name, value in put.headers.items()}
        assert headers["if-none-match"] == "*"
        assert headers["x-amz-checksum-sha256"]


def test_a_session_token_goes_with_every_request(cryo_moto: S3Endpoint, worker: Worker):
    """The usual credential chain: temporary keys have a token beside them."""
    bucket = cryo_moto.make_bucket()
    with StoreProxy(cryo_moto.url) as proxy:
        assert worker.run(behind(bucket, proxy), AWS_SESSION_TOKEN="t0ken").returncode == 0
        assert {seen.headers.get("x-amz-security-token") for seen in proxy.requests} == {"t0ken"}


class RoleServer(http.server.BaseHTTPRequestHandler):
    """Gives keys away, as the credentials endpoint of a container does."""

    def do_GET(self) -> None:
        """Answer with temporary keys."""
        keys = {"AccessKeyId": "r0le", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
        body = json.dumps(keys).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture
def role_url() -> Iterator[str]:
    """A credentials endpoint on loopback."""
    with http.server.HTTPServer(("127.0.0.1", 0), RoleServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/role"
        server.shutdown()
        thread.join()


def test_without_keys_a_containers_role_is_used(cryo_moto: S3Endpoint, worker: Worker, role_url: str, tmp_path: Path):
    """Keys are optional: in a container with a role the worker signs with the role's keys."""
    bucket = cryo_moto.make_bucket()
    (tmp_path / "token").write_text("authorization")
    with StoreProxy(cryo_moto.url) as proxy:
        target = behind(bucket, proxy)
        without = {name: value for name, value in target.environment.items() if not name.startswith("AWS_")}
        result = worker.run(
            Target(target.url, without, bucket=bucket),
            AWS_CONTAINER_CREDENTIALS_FULL_URI=role_url,
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"),
        )
        assert result.returncode == 0, result.stderr
        signed = {name: value for name, value in proxy.requests[0].headers.items() if name.lower() == "authorization"}
    assert "Credential=r0le/" in "".join(signed.values())
