"""Runs a worker as users do, in a process with an environment and a payload, and reads its store.

The harness computes prefixes from the contract, without the worker's code.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.contract import prefix as prefix_of
from harness.stores.bucket import Bucket
from harness.stores.proxy import StoreProxy

BIN = Path(sys.executable).parent
CHAIN_ID = 31337

PAYLOAD: dict[str, Any] = {
    "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "dataset_key": "end_to_end",
    "chain_id": CHAIN_ID,
    "cryo_dataset_name": "blocks",
    "rpc_pool": "local",
    "range_start": 500,
    "range_end": 2700,
    "config_hash": "h1",
}


@dataclass
class Target:
    """A store for a test: its URL and environment for the worker, and access to its contents."""

    url: str
    environment: dict[str, str]
    directory: Path | None = None
    bucket: Bucket | None = None

    def contents(self) -> dict[str, bytes]:
        """Return all objects by key; the metadata of a directory's files are no objects."""
        if self.bucket is not None:
            return self.bucket.contents()
        assert self.directory is not None
        files = (path for path in self.directory.glob("[!.]*/**/*") if path.is_file())
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in files}

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        if self.bucket is not None:
            return {"scheme": "s3", "bucket": self.bucket.name, "prefix": prefix, "glob": "*.parquet"}
        return {"scheme": "file", "prefix": f"{self.directory}/{prefix}", "glob": "*.parquet"}


@dataclass
class Worker:
    """Runs `cryo-ingest run`, with the payload in a file and one staging root."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def staging(self) -> Path:
        """The staging root."""
        return self.folder / "staging"

    def variables(self, target: Target, extra: dict[str, str]) -> dict[str, str]:
        """Return the complete environment of a run; it inherits only PATH."""
        base = {"PATH": os.environ["PATH"], "TRACE_LOG_FORMAT": "json", "TRACE_CRYO_STAGING_ROOT": str(self.staging)}
        return base | target.environment | self.environment | extra

    def command(self, payload: dict[str, Any], target: Target, *words: str) -> list[str | Path]:
        """Write the payload and return the command line."""
        task = self.folder / "task.json"
        task.write_text(json.dumps(payload))
        return [BIN / "cryo-ingest", "run", task, "--store", target.url, *words]

    def run(
        self, target: Target, payload: dict[str, Any] | None = None, words: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one attempt to its end."""
        return subprocess.run(
            self.command(payload or PAYLOAD, target, *words),
            env=self.variables(target, environment),
            capture_output=True,
            text=True,
            check=False,
        )


def events(stderr: str) -> list[dict[str, Any]]:
    """Parse the worker's log."""
    return [json.loads(line) for line in stderr.splitlines()]


def bare_cryo(program: str, folder: Path, payload: dict[str, Any], environment: dict[str, str]) -> dict[str, bytes]:
    """Run Cryo without a worker and return its files."""
    folder.mkdir()
    span = f"{payload['range_start']}:{payload['range_end']}"
    subprocess.run(
        [BIN / program, payload["cryo_dataset_name"], "--blocks", span, "--no-report"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | environment,
        check=True,
        capture_output=True,
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bucket_target(bucket: Bucket) -> Target:
    """Return a target for a bucket."""
    return Target(f"s3://{bucket.name}", bucket.environment(), bucket=bucket)


def real_mode(url: str) -> dict[str, str]:
    """Return the environment of real mode with one endpoint."""
    return {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": "cryo-from-wheel", "TRACE_RPC_POOL_LOCAL_URL": url}


def expected_contents(payload: dict[str, Any], files: dict[str, bytes]) -> dict[str, bytes]:
    """Compute the expected contents of a store from the contract and the files of `bare_cryo`."""
    prefix = prefix_of(payload)
    keys = sorted(prefix + name for name in files)
    version = prefix.rstrip("/").rpartition("/")[2]
    manifest = {"version": 1, "dataset_uuid": payload["dataset_uuid"], "dataset_version": version, "parquet_keys": keys}
    rendered = json.dumps(manifest, separators=(",", ":")).encode() + b"\n"
    return {prefix + name: content for name, content in files.items()} | {prefix + "_manifest.json": rendered}


def behind(bucket: Bucket, proxy: StoreProxy) -> Target:
    """Return a target for a bucket behind the proxy."""
    endpoint = replace(bucket.endpoint, url=proxy.url)
    return Target(f"s3://{bucket.name}", Bucket(endpoint, bucket.name).environment(), bucket=bucket)
