"""RPC-3: the search for the pool's URL in a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.runner.pool_urls import PoolUrls
from harness.runner.secrecy import Secrets

KEY = "0123456789abcdef0123"
URLS = (f"http://127.0.0.1:45678/v3/{KEY}", "http://127.0.0.1:9")
ENDLESS = "import sys; print(flush=True); sys.stdin.read()"


def places(directory: Path, *, argument: str = "x", variable: str = "x") -> tuple[str, ...] | None:
    """Examine a process with an argument and a variable."""
    secrets = Secrets()
    secrets.add({"rpc-key": KEY})
    command = [sys.executable, "-c", ENDLESS, argument]
    with subprocess.Popen(
        command, env={"VARIABLE": variable}, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = PoolUrls(URLS, secrets).places(process.pid, [argument])
        process.communicate()
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that only its owner can enter, as an attempt's."""
    path = tmp_path / "attempt"
    path.mkdir(mode=0o700)
    return path


def test_a_process_that_has_no_url(directory: Path):
    """The URL of a gateway, on another port, is not the pool's."""
    (directory / "file").write_text("http://127.0.0.1:4567/path")
    assert places(directory, argument="http://127.0.0.1:456789/path") == ()


def test_the_url_is_found_by_address_or_key(directory: Path):
    """The address is enough, with any name of the host, and the key in any encoding."""
    (directory / "folder").mkdir()
    (directory / "folder" / "file").write_text(KEY.upper())
    found = places(directory, argument="--rpc=http://localhost:45678", variable=KEY.encode().hex())
    assert found == ("arguments", "environment", "files")


def test_a_process_is_found_by_its_arguments(directory: Path):
    """In a container a process has another id: one with other arguments is not examined."""
    command = [sys.executable, "-c", ENDLESS, "only-here-45678"]
    with subprocess.Popen(command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        urls = PoolUrls(URLS, Secrets())
        assert urls.places(1, ["only-here-45678"]) == ()
        assert urls.places(process.pid, ["nowhere-at-all"]) is None
        process.communicate()
