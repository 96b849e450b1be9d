"""`deploy/`: what is written there fits what the worker reads, does and asks for."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.service import platform, small, until
from support.worker import BIN

from harness.containers.worker import STAGING
from harness.faults import DispatcherFault
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FARGATES_LONGEST_STOP_SECONDS = 120


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEPLOY / name).read_text(encoding="utf-8"))
    return content


@pytest.fixture
def container() -> dict[str, Any]:
    """The worker's container in the task definition."""
    (only,) = read("ecs-task-definition.json")["containerDefinitions"]
    found: dict[str, Any] = only
    return found


def test_the_queues_policy_is_exactly_what_the_worker_calls(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-1, LSE-5: with a claim that fails first, every SQS action of the service is seen, and no other."""
    (statement,) = read("sqs-policy.json")["Statement"]
    with platform(tmp_path, cryo_moto) as world, StoreProxy(cryo_moto.url) as proxy:
        world.machine.add_faults(DispatcherFault("claim", "status", times=1))
        world.machine.add_task(small())
        with world.service(SQS_ENDPOINT=proxy.url) as service:
            service.wait_for("attempt.reported")
            until(world.queue_is_empty)
            assert service.stop() == 0
        headers = [{name.lower(): value for name, value in seen.headers.items()} for seen in proxy.requests]
    called = {fields["x-amz-target"].removeprefix("AmazonSQS.") for fields in headers}
    assert {f"sqs:{action}" for action in called} == set(statement["Action"])


def test_the_task_definition_is_an_environment_that_the_worker_takes(container: dict[str, Any]):
    """Every variable is one that is read, none is missing, and secrets come by reference alone."""
    given = {entry["name"]: entry["value"] for entry in container["environment"]}
    secret = {entry["name"] for entry in container["secrets"]}
    assert secret >= {"TRACE_WORKER_TOKEN"}
    assert not any(name.startswith("TRACE_RPC") or "TOKEN" in name or "SECRET" in name for name in given)
    documented = (DEPLOY.parent / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in given if f"`{name}`" not in documented] == []
    told = {"TRACE_CRYO_STAGING_ROOT": "relative"}  # one mistake, so that the worker ends and says all that is wrong
    environment = given | dict.fromkeys(secret, "http://filled-in.invalid/") | told
    ran = subprocess.run([BIN / "cryo-ingest", "worker"], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 78
    assert "TRACE_CRYO_STAGING_ROOT" in ran.stderr
    assert [name for name in environment if name in ran.stderr] == ["TRACE_CRYO_STAGING_ROOT"]


def test_the_task_definition_locks_the_container_down_and_leaves_time_to_drain(container: dict[str, Any]):
    """LSE-4: SIGKILL comes after the grace period; nothing is writable but the staging volume."""
    grace = next(e["value"] for e in container["environment"] if e["name"] == "TRACE_SHUTDOWN_GRACE_SECONDS")
    assert float(grace) + 5 <= container["stopTimeout"] <= FARGATES_LONGEST_STOP_SECONDS
    assert (container["readonlyRootFilesystem"], container["user"]) == (True, "10001")
    assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert [mount["containerPath"] for mount in container["mountPoints"]] == [STAGING]
    assert container["command"] == ["worker"]


def test_the_unit_of_a_sync_has_variables_that_are_read_and_leaves_time_to_drain():
    """It is not started again after mistakes that only a user can correct."""
    unit = (DEPLOY / "cryo-ingest-sync.service").read_text(encoding="utf-8")
    documented = (DEPLOY.parent / "docs" / "reference.md").read_text(encoding="utf-8")
    names = re.findall(r"\b((?:TRACE|AWS|S3)_[A-Z_]+)=", unit)
    assert [name for name in names if name != "TRACE_RPC_POOL_" and f"`{name}`" not in documented] == []
    assert "RestartPreventExitStatus=64 65 78" in unit
    assert "TimeoutStopSec=300" in unit


def test_sqs_takes_the_queues_settings_and_they_fit_the_worker(cryo_moto: S3Endpoint):
    """A message is hidden for as long as the worker says, polls are long, and dead letters have a queue."""
    sqs = boto3.client(
        "sqs",
        endpoint_url=cryo_moto.url,
        aws_access_key_id=cryo_moto.access_key,
        aws_secret_access_key=cryo_moto.secret_key,
        region_name="us-east-1",
    )
    dead = sqs.create_queue(QueueName="cryo-ingest-wakeups-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    settings = read("queue-attributes.json")
    redrive = json.loads(settings["RedrivePolicy"]) | {"deadLetterTargetArn": arn}
    made = sqs.create_queue(
        QueueName="cryo-ingest-wakeups", Attributes=settings | {"RedrivePolicy": json.dumps(redrive)}
    )["QueueUrl"]
    kept = sqs.get_queue_attributes(QueueUrl=made, AttributeNames=["All"])["Attributes"]
    assert (kept["VisibilityTimeout"], kept["ReceiveMessageWaitTimeSeconds"]) == ("60", "20")
    assert int(redrive["maxReceiveCount"]) >= 1000, "a dispatcher that is down costs a delivery a minute"
