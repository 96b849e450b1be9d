"""A usage error is one line, comes before any work, and has exit code 64."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kit.running import max_jobs
from harness.stores.backends import BadStore, external, limitations_of
from harness.stores.bucket import S3Endpoint
from harness.targets import REFERENCE, find

RUN = ["run", "straight-run"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*RUN, "--target", REFERENCE, "--bug", "publishes-twic"], "did you mean publishes-twice"),
        ([*RUN, "--bug", "publishes-twice"], "only the target `reference` has bugs to switch on"),
        ([*RUN, "--target", "cmd:'x"], "No closing quotation"),
        ([*RUN, "--target", "cmd:no-such-worker --flag"], "no executable 'no-such-worker'"),
        ([*RUN, "--store", "http://"], "is not the URL of a server"),
        ([*RUN, "--store", "http://[::1"], "is not a URL"),
        ([*RUN, "--store", "http://127.0.0.1:99999"], "is not a URL"),
        (["probe-store", "http://name:s3cret@127.0.0.1:9"], "http://…@127.0.0.1:9 is not the URL of a server"),
        ([*RUN, "--report", "/proc/report.json"], "--report /proc/report.json: it is not writable"),
        ([*RUN, "--report", "/nonexistent/report.json"], "the folder /nonexistent does not exist"),
        ([*RUN, "--save", "/proc/histories"], "/proc/histories"),
        (["judge", "/"], "Is a directory"),
        (["run", "/proc/self.toml"], "No such file"),
    ],
)
def test_a_usage_error_is_one_line(words: list[str], said: str):
    """The line has no traceback and no secret, and nothing is started."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 64, result.output
    assert said in result.output
    assert result.output.count("\n") == 1
    assert "s3cret" not in result.output


def test_a_report_is_checked_before_the_run_and_not_left_behind(tmp_path: Path):
    """Whether a report can be written is checked first; a run that does not start leaves no empty report."""
    report, folder = tmp_path / "report.json", tmp_path / "folder.json"
    folder.mkdir()
    words = ["--store", "pigeon", "--report"]
    assert CliRunner().invoke(app, [*RUN, *words, str(report)]).exit_code == 64
    assert not report.exists()
    assert "is not a regular file" in CliRunner().invoke(app, [*RUN, *words, str(folder)]).output


def test_an_unknown_option_is_a_usage_error():
    """The exit code is 64, as in sysexits.h."""
    words = [sys.executable, "-c", "from harness.cli import main; main()", "run", "--no-such-option"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 64, ended.stderr
    assert "--no-such-option" in ended.stderr


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """Answer every connection with some bytes, or never."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.recv(65_536)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "does not answer"),
        (b"SSH-2.0-x\r\n\r\n", "does not answer"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", "not as S3 does"),
    ],
)
def test_a_server_that_is_not_s3_is_recognised(answer: bytes | None, said: str):
    """The error differs for a server that hangs, one without HTTP, and one without S3."""
    with server(answer) as url, pytest.raises(BadStore, match=said):
        external(url)


def test_a_store_that_hangs_later_is_an_error_within_seconds():
    """The request for its first bucket has a short timeout and is not repeated."""
    with server(None) as url, pytest.raises(BadStore, match="Read timeout"):
        limitations_of(S3Endpoint(url, "key", "secret"), within_seconds=0.1)


def test_with_a_fixed_staging_root_one_scenario_runs_at_a_time(tmp_path: Path):
    """Concurrent scenarios would sweep each other's staging."""
    path = tmp_path / "mine.toml"
    path.write_text(f'version = 1\ncommand = ["true"]\nstaging_root = "{tmp_path / "staging"}"\n')
    assert max_jobs(find(str(path)), 8) == 1
    assert max_jobs(find(REFERENCE), 8) == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_is_not_writable_is_a_usage_error(tmp_path: Path):
    """This holds for histories as for reports."""
    tmp_path.chmod(0o500)
    result = CliRunner().invoke(app, [*RUN, "--save", str(tmp_path)])
    assert result.exit_code == 64
