"""`deploy/s3-policy.json` is enough, and no action of it is too many: shown on MinIO with users of its own."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from minio import MinioAdmin
from minio.credentials import StaticProvider
from support.worker import PAYLOAD, Target, Worker, bare_cryo, bucket_target, events, expected_contents, prefix_of

from harness.stores.bucket import Bucket, S3Endpoint

pytestmark = pytest.mark.docker

POLICY = (Path(__file__).resolve().parents[2] / "deploy" / "s3-policy.json").read_text(encoding="utf-8")
ACTIONS = [action for statement in json.loads(POLICY)["Statement"] for action in statement["Action"]]


def policy_for(bucket: str, *, without: str | None) -> dict[str, Any]:
    """Fill the bucket in and leave one action out; a statement without any action left is no statement."""
    policy: dict[str, Any] = json.loads(POLICY.replace("BUCKET", bucket))
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != without]
    return policy | {"Statement": [statement for statement in policy["Statement"] if statement["Action"]]}


class Users:
    """Makes users who may do what a policy says, and removes them."""

    def __init__(self, server: S3Endpoint) -> None:
        self._server = server
        keys = StaticProvider(server.access_key, server.secret_key)
        self._admin = MinioAdmin(endpoint=server.url.removeprefix("http://"), credentials=keys, secure=False)
        self._made: list[str] = []

    def target(self, bucket: Bucket, *, without: str | None = None) -> Target:
        """Return the bucket as a new user sees it, who has the policy, or all of it but one action."""
        name, secret = secrets.token_hex(8), secrets.token_hex(16)
        self._admin.user_add(name, secret)
        self._made.append(name)
        self._admin.policy_add(name, policy=policy_for(bucket.name, without=without))
        self._admin.policy_set(name, user=name)
        user = Bucket(replace(self._server, access_key=name, secret_key=secret), bucket.name)
        # What the bucket holds is looked at as its owner, whatever the user may see.
        return replace(bucket_target(bucket), environment=user.environment())

    def remove(self) -> None:
        """Remove all that were made."""
        for name in self._made:
            self._admin.user_remove(name)
            self._admin.policy_remove(name)


@pytest.fixture
def users(minio: S3Endpoint) -> Iterator[Users]:
    """Users of the session's MinIO."""
    made = Users(minio)
    yield made
    made.remove()


def with_a_leftover(bucket: Bucket) -> None:
    """Leave under the prefix what no attempt of this version writes."""
    bucket.put(prefix_of(PAYLOAD) + "leftover.parquet", b"of an earlier worker")


def run_all(worker: Worker, target: Target) -> list[subprocess.CompletedProcess[str]]:
    """Publish, clearing a leftover up, and publish again, which reads what is there."""
    return [worker.run(target), worker.run(target)]


def test_a_user_with_exactly_the_policy_publishes_clears_up_and_publishes_again(
    users: Users, minio_bucket: Bucket, worker: Worker, tmp_path: Path
):
    """LAY-6, LAY-10: all that an attempt ever does to the store is in the policy."""
    with_a_leftover(minio_bucket)
    first, second = run_all(worker, users.target(minio_bucket))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    files = bare_cryo("fake-cryo", tmp_path / "bare", PAYLOAD, {"FAKE_CRYO_CHAIN_ID": str(PAYLOAD["chain_id"])})
    assert minio_bucket.contents() == expected_contents(PAYLOAD, files)


@pytest.mark.parametrize("action", ACTIONS)
def test_out_4_with_any_one_action_removed_the_worker_says_what_it_was_denied(
    action: str, users: Users, minio_bucket: Bucket, worker: Worker
):
    """OUT-4, PUB-3: fatal, the operation and the key are named, and nothing is published by that attempt."""
    with_a_leftover(minio_bucket)
    results = run_all(worker, users.target(minio_bucket, without=action))
    denied = next(result for result in results if result.returncode != 0)
    assert (denied.returncode, denied.stdout) == (69, "")
    failed = events(denied.stderr)[-1]
    assert failed["error"] == "StoreDenied"
    assert f"on {prefix_of(PAYLOAD)}" in failed["message"]
    assert f"{action} is needed" in failed["message"]
