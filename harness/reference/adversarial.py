"""Workers that do no work: `python -m harness.reference.adversarial NAME worker|run -`.

The checks must recognise them: no clause that requires work may pass, whatever these workers report.

    nothing   claims nothing, prints nothing
    success   reports the right publication for every task, without having extracted anything
    canned    publishes the same publication for every task
    copies    copies all Parquet files of the bucket to its prefix, and publishes them
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from harness.reference.cancellation import Cancellation
from harness.reference.dispatcher import DispatcherClient, DispatcherUnavailable, TaskNotClaimed, report
from harness.reference.payload import parse
from harness.reference.s3 import open_store, s3_client
from harness.reference.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Publish = Callable[[Any, Settings], dict[str, Any]]

CANNED = {
    "dataset_uuid": "00000000-0000-4000-8000-000000000000",
    "dataset_version": "00000000-0000-5000-8000-000000000000",
    "storage_ref": {"scheme": "s3", "bucket": "bucket", "prefix": "cryo/1/", "glob": "*.parquet"},
    "config_hash": "h1",
    "range_start": 0,
    "range_end": 1,
}


def success(payload: Any, settings: Settings) -> dict[str, Any]:
    """Return the publication of a worker that did the work."""
    fields = {name: payload.get(name) for name in ("dataset_uuid", "config_hash", "range_start", "range_end")}
    version, prefix = "", ""
    try:
        task = parse(payload)
        version, prefix = task.version, task.prefix(task.version)
    except Exception:  # noqa: BLE001, S110 - it publishes even for a bad payload
        pass
    bucket = settings.environment.get("S3_BUCKET", "")
    reference = {"scheme": "s3", "bucket": bucket, "prefix": prefix, "glob": "*.parquet"}
    return {**fields, "dataset_version": version, "storage_ref": reference}


def canned(payload: Any, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - it ignores the task
    """Return the same publication for every task."""
    return CANNED


def copies(payload: Any, settings: Settings) -> dict[str, Any]:
    """Copy all Parquet files of the bucket to the task's prefix, write a manifest, and publish that."""
    publication = success(payload, settings)
    prefix = publication["storage_ref"]["prefix"]
    store = open_store(None, settings, Cancellation())
    keys = []
    for key in store.entries(""):
        stored = store.get(key)
        if key.endswith(".parquet") and stored is not None and not key.startswith(prefix):
            keys.append(prefix + key.rpartition("/")[2])
            store.create(keys[-1], stored.body, stored.metadata)
    manifest = {
        "version": 1,
        "dataset_uuid": publication["dataset_uuid"],
        "dataset_version": publication["dataset_version"],
        "parquet_keys": sorted(keys),
    }
    store.create(f"{prefix}_manifest.json", json.dumps(manifest).encode(), {})
    return publication


WORKERS: dict[str, Publish | None] = {"nothing": None, "success": success, "canned": canned, "copies": copies}


def main() -> None:
    """Run one of these workers."""
    publish = WORKERS[sys.argv[1]]
    settings = read_settings(os.environ)
    if sys.argv[2] == "run":
        if publish is not None:
            sys.stdout.write(json.dumps(publish(json.loads(sys.stdin.read()), settings)) + "\n")
        return
    if publish is None:
        signal.pause()
        return
    _serve(publish, settings)


def _serve(publish: Publish, settings: Settings) -> None:
    dispatcher = DispatcherClient(settings, "adversarial_worker")
    queue, url = s3_client(settings, "sqs", "SQS_ENDPOINT"), settings.environment["TASK_WAKEUP_QUEUE"]
    while True:
        for message in queue.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", ()):
            try:
                claim = dispatcher.claim(json.loads(message["Body"])["task_id"])
                dispatcher.complete(
                    claim, report(publish(claim.payload, settings), "success", None), timeout_seconds=10
                )
            except (TaskNotClaimed, DispatcherUnavailable):
                pass
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()
