"""Every bug of the reference worker does something: what can be seen from outside differs from a good worker's.

Which clause that breaks is for the checks to say. Here it is shown that the switch is reached.
"""

import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.worker import BIN, PAYLOAD, prefix_of

from harness.fakes.rpc import Fault, Node, RpcPool
from harness.fakes.rpc.actions import Result
from harness.reference.bugs import BUG_VARIABLE, BUGS
from harness.stores.bucket import Bucket, S3Endpoint
from harness.stores.proxy import Spoil, StoreProxy
from harness.world.chain import Chain

TASK_ID = "0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11"
SMALL = PAYLOAD | {"range_end": 530}
TWO_CHUNKS = PAYLOAD | {"range_end": 1510}
LOGS = SMALL | {"cryo_dataset_name": "logs"}


def act(name: str, **fields: Any) -> dict[str, Any]:
    """Return one act of fake Cryo's script."""
    return {"act": name, **fields}


def without(name: str) -> dict[str, Any]:
    """Return the payload without one field."""
    return {key: value for key, value in SMALL.items() if key != name}


@dataclass
class Place:
    """Where one attempt runs, before it does."""

    folder: Path
    bucket: Bucket

    @property
    def staging(self) -> Path:
        """The staging root."""
        return self.folder / "staging"


@dataclass(frozen=True)
class Situation:
    """What one attempt meets."""

    payload: dict[str, Any] = field(default_factory=lambda: SMALL)
    mode: str = "real"
    acts: tuple[dict[str, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    spoil: Spoil | None = None
    before: Callable[[Place], None] = lambda _: None
    pool_variables: tuple[str, ...] = ("TRACE_RPC_POOL_LOCAL_URL",)
    nodes: tuple[int, ...] = (PAYLOAD["chain_id"],)
    runs: int = 1


def attempt(place: Place, situation: Situation, bug: str | None) -> str:
    """Run one attempt and return what can be seen of it from outside."""
    situation.before(place)
    nodes = [Node(Chain(chain), head=5000, script={"acts": list(situation.acts)}) for chain in situation.nodes]
    with RpcPool(nodes, situation.faults) as pool, StoreProxy(place.bucket.endpoint.url, situation.spoil) as proxy:
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "TRACE_CRYO_MODE": situation.mode,
            "TRACE_CRYO_BIN": str(BIN / "fake-cryo"),
            "TRACE_CRYO_STAGING_ROOT": str(place.staging),
            **dict.fromkeys(situation.pool_variables, " ".join(pool.urls)),
            **place.bucket.environment(),
            "S3_ENDPOINT": proxy.url,
            **({BUG_VARIABLE: bug} if bug else {}),
            **situation.environment,
        }
        command = [sys.executable, "-m", "harness.reference", "run", "-", "--task-id", TASK_ID]
        for _ in range(situation.runs):
            done = subprocess.run(
                command,
                input=json.dumps(situation.payload),
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        contents = place.bucket.contents()
        requests = [
            (
                asked.method,
                *(sorted(name.lower() for name in asked.headers if name.lower() in WATCHED)),
                tail(asked.path),
            )
            for asked in proxy.requests
        ]
        calls = [call for call in pool.journal if call.method not in {"eth_getBlockByNumber", "harness_script"}]
        told = {
            "code": done.returncode,
            "published": done.stdout,
            "fake warning": "data.fake" in done.stderr,
            "leaked": bool(pool.urls[0].removeprefix("http://") in done.stderr),
            "contents": contents,
            "metadata": {key: place.bucket.metadata(key) for key in contents},
            "requests": requests,
            "calls": [(call.node, call.method, started(call.params)) for call in calls],
            "asked": len(pool.journal),
            "staged": sorted((str(path), path.lstat().st_mode) for path in place.staging.rglob("*")),
            "root": place.staging.stat().st_mode if place.staging.exists() else None,
            "behind": sorted(path.name for path in (place.folder / "behind").glob("*")),
        }
    text = repr(told).replace(place.bucket.name, "BUCKET").replace(str(place.folder), "FOLDER")
    for url in pool.urls:
        text = text.replace(url, "URL")
    return text


WATCHED = {"if-match", "if-none-match", "x-amz-checksum-sha256"}


def tail(path: str) -> str:
    """Return the last part of a key."""
    return path.rpartition("/")[2]


def started(params: Any) -> Any:
    """Return what a Cryo told of itself at its start, without its process id."""
    found = params[0] if isinstance(params, list) and params and isinstance(params[0], dict) else {}
    return {name: value for name, value in found.items() if name in {"arguments", "environment"}}


def store_whole(place: Place, mode: str = "real", payload: dict[str, Any] | None = None) -> None:
    """Let a good attempt fill the bucket."""
    attempt(Place(place.folder / f"earlier-{uuid.uuid4().hex}", place.bucket), Situation(payload or SMALL, mode), None)


def a_broken_object(place: Place) -> None:
    """Leave a whole version with one object cut short."""
    store_whole(place)
    key = next(key for key in place.bucket.contents() if key.endswith(".parquet"))
    place.bucket.put(key, place.bucket.contents()[key][:-9])


def other_rows(place: Place) -> None:
    """Leave a readable file of other rows under the key, without a manifest."""
    key, body = whole_file(place)
    place.bucket.put(key, with_other_miner(body))


def whole_file(place: Place) -> tuple[str, bytes]:
    """Fill the bucket, take the manifest away, and return the file."""
    store_whole(place)
    place.bucket.client.delete_object(Bucket=place.bucket.name, Key=f"{prefix_of(SMALL)}_manifest.json")
    return next(iter(place.bucket.contents().items()))


def with_other_miner(body: bytes) -> bytes:
    """Return the same blocks with another author in every row."""
    table = pq.read_table(io.BytesIO(body))
    place = table.schema.get_field_index("author")
    column = pa.array([bytes(20)] * table.num_rows, table.schema.field(place).type)
    target = io.BytesIO()
    pq.write_table(table.set_column(place, table.schema.field(place), column), target)
    return target.getvalue()


def no_manifest(place: Place) -> None:
    """Leave a whole file without its manifest."""
    whole_file(place)


def evidence_of_rows(place: Place) -> None:
    """Leave a whole version that was proved by rows only."""
    attempt(Place(place.folder / "earlier", place.bucket), Situation(environment={"TRACE_COVERAGE": "rows"}), None)


def a_leftover(place: Place) -> None:
    """Leave a foreign key under the prefix."""
    place.bucket.put(f"{prefix_of(SMALL)}left.parquet.tmp", b"left")


def staged(place: Place, *, age_hours: float = 0.0) -> Path:
    """Leave another attempt's directory."""
    folder = place.staging / str(uuid.UUID(int=7)) / "1"
    folder.mkdir(parents=True, mode=0o700)
    when = folder.stat().st_mtime - age_hours * 3600
    os.utime(folder, (when, when))
    return folder


def a_link(place: Place) -> None:
    """Have a link where the task's directory would be."""
    behind = place.folder / "behind"
    behind.mkdir()
    place.staging.mkdir(mode=0o700)
    (place.staging / TASK_ID).symlink_to(behind)


def own_leftover(place: Place) -> None:
    """Leave a finished but broken chunk in the attempt's own directory."""
    folder = place.staging / TASK_ID / "1" / "out"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "foreign.parquet").write_bytes(b"PAR1")


RAW = {"TRACE_COVERAGE": "rows"}
CUT = act("truncate_file", chunk=0, bytes=9)
ONCE = (Fault("harness_script", Result({"acts": [CUT]}), times=1),)

SITUATIONS: dict[str, Situation] = {
    "config-hash-is-optional": Situation(without("config_hash")),
    "true-is-an-integer": Situation(SMALL | {"range_start": "500"}),
    "bad-payload-is-retryable": Situation(without("chain_id")),
    "refuses-unknown-fields": Situation(SMALL | {"new": 1}),
    "runs-aliases": Situation(SMALL | {"cryo_dataset_name": "txs"}),
    "believes-exit-zero": Situation(TWO_CHUNKS, acts=(act("omit_chunk", chunk=1),), environment=RAW),
    "counts-rows-only": Situation(acts=(act("replace_block", block=510, by=511),), environment=RAW),
    "believes-empty-answers": Situation(LOGS, acts=(act("omit_rows", chunk=0, every=3),)),
    "endpoint-is-not-asked": Situation(nodes=(1,)),
    "version-is-random": Situation(runs=2),
    "leftovers-stay": Situation(before=a_leftover),
    "overwrites-what-is-stored": Situation(before=no_manifest),
    "always-runs-cryo": Situation(before=store_whole),
    "believes-any-manifest": Situation(before=a_broken_object),
    "adopts-other-rows": Situation(before=other_rows),
    "believes-less-evidence": Situation(before=evidence_of_rows),
    "precondition-failed-is-fatal": Situation(spoil=Spoil("PUT", r"\.parquet$", "after", status=500)),
    "mixes-the-modes": Situation(before=lambda place: store_whole(place, "fake")),
    "any-mode-is-fake": Situation(mode="reel"),
    "fake-mode-wants-a-url": Situation(mode="fake"),
    "fake-data-by-the-clock": Situation(mode="fake"),
    "missing-cryo-is-retryable": Situation(environment={"TRACE_CRYO_BIN": "/nowhere/cryo"}),
    "no-url-is-retryable": Situation(pool_variables=()),
    "common-url-first": Situation(environment={"TRACE_CRYO_RPC_URL": "http://127.0.0.1:9"}),
    "pool-name-as-it-is": Situation(SMALL | {"rpc_pool": "a.b"}, pool_variables=("TRACE_RPC_POOL_A_B_URL",)),
    "first-url-only": Situation(nodes=(1, PAYLOAD["chain_id"])),
    "says-nothing-of-fake-data": Situation(mode="fake"),
    "staging-is-not-emptied": Situation(before=own_leftover),
    "never-sweeps": Situation(before=lambda place: staged(place, age_hours=25) and None),
    "sweeps-the-young": Situation(before=lambda place: staged(place) and None),
    "follows-staging-links": Situation(before=a_link),
    "full-disk-is-fatal": Situation(acts=(act("disk_full", chunk=0),)),
    "failed-staging-stays": Situation(acts=(act("exit", code=2, after_chunks=0),)),
    "at-the-cap-is-over": Situation(environment={"MAX_PARQUET_FILES_PER_RANGE": "1"}),
    "caps-are-retryable": Situation(TWO_CHUNKS, environment={"MAX_PARQUET_FILES_PER_RANGE": "1"}),
    "caps-are-not-watched": Situation(TWO_CHUNKS, environment={"MAX_PARQUET_FILES_PER_RANGE": "1"}),
    "uploads-before-the-caps": Situation(TWO_CHUNKS, environment={"MAX_PARQUET_FILES_PER_RANGE": "1"}),
    "cap-of-zero": Situation(environment={"MAX_PARQUET_FILES_PER_RANGE": "0"}),
    "usage-error-is-retryable": Situation(acts=(act("exit", code=2, after_chunks=0),)),
    "exit-one-is-fatal": Situation(acts=(act("exit", code=1, after_chunks=0),)),
    "store-faults-are-fatal": Situation(spoil=Spoil("PUT", r"\.parquet$", "before", status=503, lasting=True)),
    "other-schema-is-retryable": Situation(acts=(act("wrong_schema", chunk=0),)),
    "failed-proof-is-fatal": Situation(acts=(CUT,)),
    "runs-cryo-once": Situation(faults=ONCE),
    "keeps-broken-chunks": Situation(faults=ONCE),
    "passes-mesc-on": Situation(environment={"MESC_MODE": "path"}),
}
"""What shows a bug; those that are not here show in any attempt."""

ANY = Situation()
BY_SERVICE = {
    *("publishes-twice", "failure-publishes", "manifest-is-late", "retries-a-stale-completion", "completes-twice"),
    *("failures-are-silent", "always-completed", "unclaimable-wakeups-stay", "lite-claims-only", "never-renews"),
    *("refused-claims-are-acknowledged", "works-past-the-lease", "no-margin-to-the-lease", "trusts-its-own-clock"),
    *("dies-by-sigterm", "ignores-the-staging-lock", "lock-is-not-inherited", "cryo-outlives-its-worker"),
    *("no-deadline", "kills-only-the-leader"),
}
"""These take a dispatcher, a held directory or a Cryo that hangs to be seen."""


@pytest.fixture(scope="module")
def good() -> dict[int, str]:
    """What good attempts look like, by situation."""
    return {}


def once(folder: Path, moto: S3Endpoint, situation: Situation, bug: str | None) -> str:
    """Run a situation in a folder and a bucket of its own."""
    folder.mkdir()
    return attempt(Place(folder, moto.make_bucket()), situation, bug)


@pytest.mark.parametrize("bug", [known.name for known in BUGS if known.name not in BY_SERVICE])
def test_the_bug_shows(bug: str, tmp_path: Path, moto: S3Endpoint, good: dict[int, str]):
    """An attempt with the bug is not what it is without it."""
    situation = SITUATIONS.get(bug, ANY)
    if id(situation) not in good:
        good[id(situation)] = once(tmp_path / "good", moto, situation, None)
    assert once(tmp_path / "bad", moto, situation, bug) != good[id(situation)]


@pytest.mark.parametrize("bug", ["any", "believes-empty-answers", "adopts-other-rows", "runs-cryo-once"])
def test_a_good_attempt_always_looks_the_same(bug: str, tmp_path: Path, moto: S3Endpoint):
    """Two attempts without any bug look the same, so that a difference means something."""
    situation = SITUATIONS.get(bug, ANY)
    assert once(tmp_path / "one", moto, situation, None) == once(tmp_path / "other", moto, situation, None)
