"""The smoke test explains what is wrong with a worker's configuration."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app

REFERENCE = [sys.executable, "-m", "harness.reference"]


def target(folder: Path, text: str, command: list[str]) -> str:
    path = folder / "mine.toml"
    path.write_text(f"version = 1\ncommand = {command}\n{text}")
    return str(path)


def smoke(name: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["smoke", "--target", name, "--patience", "5"])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_a_correct_worker_passes():
    """The reference worker passes in both modes, with exit code 0."""
    code, said = smoke("reference")
    assert code == 0, said
    assert [line.split()[0] for line in said.splitlines()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('delivery = "sqs"\n[environment]\nDISPATCHER_URL = "TASKS"\n', ["ReceiveMessage", "exit code 78"]),
        (
            'delivery = "sqs"\n[set]\nTRACE_WORKER_TOKEN = "other"\n',
            ["claim (POST /internal/task-claim)", "claim was answered 401", "TRACE_WORKER_TOKEN"],
        ),
        (
            'delivery = "payload-stdin"\n[environment]\nTRACE_RPC_POOL_LOCAL_URL = "NODE"\n',
            ["eth_chainId", "NODE", "exit code 69"],
        ),
        (
            'delivery = "payload-stdin"\n[environment]\nTRACE_CRYO_STAGING_ROOT = "STAGING"\n',
            ["staging directory below the staging root", "STAGING"],
        ),
        (
            'delivery = "payload-stdin"\n[set]\nS3_ENDPOINT = "http://127.0.0.1:9"\n',
            ["PUT of a Parquet file", "S3_ENDPOINT"],
        ),
    ],
)
def test_what_did_not_happen_is_reported_with_its_variables(text: str, said: list[str], tmp_path: Path):
    """The report has the missing step, the variables that it depends on, and the worker's exit code."""
    # Without the variable the worker would use the default staging root, which all tests share.
    root = f"TRACE_CRYO_STAGING_ROOT=${{TRACE_CRYO_STAGING_ROOT:-{tmp_path / 'own'}}}"
    code, output = smoke(target(tmp_path, text, ["sh", "-c", f'export {root}; exec "$@"', "sh", *REFERENCE]))
    assert code == 1
    for words in said:
        assert words in output


def test_a_staging_directory_in_the_output_option_of_cryo_counts(tmp_path: Path):
    """A worker may start Cryo elsewhere, and name the directory with `--output-dir` as the reference worker does."""
    elsewhere = tmp_path / "cryo"
    elsewhere.write_text('#!/bin/sh\ncd /\nexec fake-cryo "$@"\n')
    elsewhere.chmod(0o755)
    command = ["sh", "-c", f'TRACE_CRYO_BIN={elsewhere} exec "$@"', "sh", *REFERENCE]
    code, output = smoke(target(tmp_path, 'delivery = "payload-stdin"\n', command))
    assert code == 0, output
