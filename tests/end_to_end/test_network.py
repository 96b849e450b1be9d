"""How our own clients reach the network: through a proxy only when told to, and with the authorities that are named."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.one_server import OneServer, one_server, private_authority
from support.service import Service, until
from support.worker import BIN, PAYLOAD

ALL = {"node", "store", "queue", "dispatcher"}


def environment(folder: Path, url: str, **more: str) -> dict[str, str]:
    """Return a worker's environment in which everything is at one URL."""
    own = {
        "PATH": os.environ["PATH"],
        "TRACE_LOG_FORMAT": "json",
        "TRACE_CRYO_STAGING_ROOT": str(folder / "staging"),
        "TRACE_CRYO_MODE": "real",
        "TRACE_CRYO_BIN": "fake-cryo",
        "TRACE_CRYO_RPC_URL": url,
        "S3_ENDPOINT": url,
        "S3_BUCKET": "b",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "DISPATCHER_URL": url,
        "TRACE_WORKER_TOKEN": "token",
        "TASK_WAKEUP_QUEUE": f"{url}/1/q",
        "TRACE_SHUTDOWN_GRACE_SECONDS": "3",
    }
    return own | more


def run(command: list[str], environment: dict[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "cryo-ingest", *command], env=environment, input=text, capture_output=True, text=True, check=False
    )


def ask_node(folder: Path, environment: dict[str, str]) -> int:
    """Have a node asked for its chain, which is another one: 69 when it answers, 75 when it does not."""
    store = f"file://{folder}/out"
    return run(["run", "-", "--store", store], environment, json.dumps(PAYLOAD)).returncode


def ask_all(folder: Path, server: OneServer, environment: dict[str, str]) -> set[str]:
    """Have everything asked, and return what came to the server."""
    assert ask_node(folder, environment) == 69
    listed = run(["gaps", "s3://b/cryo/1/0f8fad5b-d9cb-469f-a165-70867728950e/", "--from=0", "--to=9"], environment)
    assert listed.returncode == 1, listed.stderr
    with Service(environment) as service:
        until(lambda: server.asked >= ALL)
        assert service.stop() == 0
    return server.asked


def test_everything_goes_through_the_proxy_when_told_to(tmp_path: Path):
    """`TRACE_PROXY=environment`: the hosts have no addresses, so whatever is answered went through the proxy."""
    with one_server() as proxy:
        variables = {"TRACE_PROXY": "environment", "HTTP_PROXY": proxy.url}
        assert ask_all(tmp_path, proxy, environment(tmp_path, "http://worker.invalid", **variables)) == ALL


def test_nothing_goes_through_a_proxy_that_happens_to_be_there(tmp_path: Path):
    """`TRACE_PROXY=off`, the default: each host is reached directly, whatever the environment says."""
    with one_server() as proxy, one_server() as server:
        variables = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy.url)
        assert ask_all(tmp_path, server, environment(tmp_path, server.url, **variables)) == ALL
        assert proxy.asked == set()


@pytest.mark.parametrize("named", ["file", "directory"])
def test_a_private_authority_is_trusted_where_it_is_named(named: str, tmp_path: Path):
    """`SSL_CERT_FILE`, `SSL_CERT_DIR`: by each of our clients."""
    authority, certificate = private_authority(tmp_path)
    (tmp_path / "certs").mkdir()
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", authority], capture_output=True, text=True, check=True
    ).stdout.strip()
    (tmp_path / "certs" / f"{hashed}.0").write_bytes(authority.read_bytes())
    variables = {"SSL_CERT_FILE": str(authority)} if named == "file" else {"SSL_CERT_DIR": str(tmp_path / "certs")}
    with one_server(certificate) as server:
        assert ask_all(tmp_path, server, environment(tmp_path, server.url, **variables)) == ALL


def test_a_private_authority_that_nobody_names_is_not_trusted(tmp_path: Path):
    """The node's answer is not believed, so the attempt is retryable."""
    _, certificate = private_authority(tmp_path)
    with one_server(certificate) as server:
        assert ask_node(tmp_path, environment(tmp_path, server.url)) == 75
        assert server.asked == set()
