"""The service's environment: an error names all bad variables and contains no secret."""

from pathlib import Path

import pytest

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.serve.settings import ServiceSettings, service_from_environment

NEEDED = {
    "DISPATCHER_URL": "https://dispatcher.example/",
    "TRACE_WORKER_TOKEN": "w0rker-canary",
    "TASK_WAKEUP_QUEUE": "https://sqs.eu-west-1.amazonaws.com/123/tasks",
    "S3_BUCKET": "bucket",
}


def problems(environment: dict[str, str]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        service_from_environment(environment)
    assert "canary" not in str(caught.value)
    return caught.value.problems


def test_four_variables_are_enough():
    """The defaults are those in the documentation; a final slash of a URL is removed."""
    _, service = service_from_environment(NEEDED)
    assert service == ServiceSettings(
        "https://dispatcher.example", "w0rker-canary", NEEDED["TASK_WAKEUP_QUEUE"], "bucket", None, 1, 25.0, None
    )
    assert "canary" not in repr(service)


def test_all_missing_and_bad_variables_are_named_at_once():
    """One start shows everything that must be corrected, including an attempt's settings."""
    bad = {"TRACE_CRYO_MODE": "x", "TRACE_WORKER_CONCURRENCY": "0", "MAX_PARQUET_FILES_PER_RANGE": "0"}
    assert set(problems(bad)) == {*bad, *NEEDED}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DISPATCHER_URL", "dispatcher.example"),
        ("DISPATCHER_URL", "https://us3r:p4ss-canary@dispatcher.example"),
        ("TRACE_WORKER_TOKEN", "w0rker-canary with a space"),
        ("TRACE_WORKER_TOKEN", "w0rker-canary\n"),
        ("TRACE_WORKER_TOKEN", ""),
        ("TASK_WAKEUP_QUEUE", "tasks"),
        ("SQS_ENDPOINT", "localhost:9324"),
        ("TRACE_WORKER_CONCURRENCY", "65"),
        ("TRACE_WORKER_CONCURRENCY", "1.5"),
        ("TRACE_SHUTDOWN_GRACE_SECONDS", "0"),
        ("TRACE_HEALTH_ADDR", "70000"),
        ("TRACE_HEALTH_ADDR", "localhost"),
        ("TRACE_HEALTH_ADDR", ""),
        ("S3_BUCKET", ""),
    ],
)
def test_a_bad_value_is_named_and_not_repeated(variable: str, value: str):
    """SEC-1: exit code 78 without the value, which may be a secret."""
    assert set(problems(NEEDED | {variable: value})) == {variable}


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),  # noqa: S104 - configured here
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_the_health_port_is_on_loopback_by_default(value: str, address: tuple[str, int]):
    """Other machines can only use it if an address is configured."""
    assert service_from_environment(NEEDED | {"TRACE_HEALTH_ADDR": value})[1].health == address


def test_boto3_is_imported_only_by_the_service():
    """`cryo-ingest run` works without the extra `sqs`."""
    package = Path(__file__).resolve().parents[3] / "cryo_ingest"
    users = [
        path.name for path in package.rglob("*.py") if "boto" in path.read_text(encoding="utf-8").replace("boto3 ", "")
    ]
    assert users == ["queue.py"]
