"""A store of many published ranges with defects, and what `verify` and `gaps` must find.

No range has rows, which is valid, so that all files have the same bytes and the store is cheap to build.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from support.forged_parquet import Forged, forge
from support.proving import task_of

from cryo_ingest import layout
from cryo_ingest.audit.gaps import Coverage, check_coverage
from cryo_ingest.audit.locations import Location, location_of
from cryo_ingest.audit.verify import Verified, verify
from cryo_ingest.datasets import all_datasets
from cryo_ingest.model import Task
from cryo_ingest.ports import StoredObject
from cryo_ingest.prove.rows import RowsProver
from cryo_ingest.publish.version import Version

DATASET, WIDTH = "nonce_diffs", 1000
Objects = dict[str, tuple[bytes, Mapping[str, str]]]


class PrefixStore:
    """The operations of `ports.ObjectStore` that an audit needs, with an index by version."""

    keeps_metadata = True

    def __init__(self, versions: dict[str, Objects]) -> None:
        self.versions = versions

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List one version."""
        return {key: StoredObject(key, len(held[0]), '"x"') for key, held in self.versions.get(prefix, {}).items()}

    def all_stored(self) -> Iterator[StoredObject]:
        """List everything."""
        for objects in self.versions.values():
            for key, held in objects.items():
                yield StoredObject(key, len(held[0]), '"x"')

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Read an object."""
        return self.versions[key.rpartition("/")[0] + "/"][key][0][:max_bytes]

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str]:
        """Write an object to a file."""
        body, metadata = self.versions[stored.key.rpartition("/")[0] + "/"][stored.key]
        into.write_bytes(body)
        return metadata


def published(task: Task, body: bytes) -> tuple[str, Objects]:
    """Return a complete version's prefix and objects."""
    version = Version.from_task(task, mode="real")
    metadata = {"sha256": hashlib.sha256(body).hexdigest(), "rows": "0", "block-min": "", "block-max": ""}
    objects: Objects = {key: (body, metadata | {"evidence": "rows"}) for key in version.manifest.parquet_keys}
    return version.prefix, objects | {version.manifest_key: (version.manifest.to_bytes(), {})}


def make_store(ranges: int, folder: Path) -> PrefixStore:
    """Return a store with a number of complete ranges."""
    body = forge(folder / "empty.parquet", DATASET, Forged(0, groups=0)).read_bytes()
    starts = range(0, ranges * WIDTH, WIDTH)
    return PrefixStore(dict(published(task_of(DATASET, start, start + WIDTH), body) for start in starts))


def _manifest(objects: Objects) -> str:
    return next(key for key in objects if key.endswith(layout.MANIFEST_NAME))


def _file(objects: Objects) -> str:
    return next(key for key in objects if key.endswith(".parquet"))


def _cut(key: Callable[[Objects], str], end: int) -> Callable[[Objects], object]:
    return lambda objects: objects.update({key(objects): (objects[key(objects)][0][:end], objects[key(objects)][1])})


def _with_metadata(**fields: str) -> Callable[[Objects], object]:
    def change(objects: Objects) -> None:
        body, metadata = objects[_file(objects)]
        objects[_file(objects)] = (body, metadata | {name.replace("_", "-"): value for name, value in fields.items()})

    return change


DEFECTS: dict[str, Callable[[Objects], object]] = {
    "missing": dict.clear,
    "unpublished": lambda objects: objects.pop(_manifest(objects)),
    "truncated manifest": _cut(_manifest, -40),
    "missing object": lambda objects: objects.pop(_file(objects)),
    "truncated file": _cut(_file, -100),
    "wrong row count": _with_metadata(rows="7"),
    "bad metadata": _with_metadata(evidence="hearsay"),
    "unexpected file": lambda objects: objects.update({_file(objects) + "._tmp": (b"x", {})}),
}
"""Changes of a range's objects; two more defects are additional versions: `duplicate` and `overlapping`."""

BY_LISTING = {
    "missing": {"missing"},
    "unpublished": {"unpublished", "missing"},
    "missing object": {"incomplete", "missing"},
    "unexpected file": {"stray"},
    "duplicate": {"duplicate"},
    "overlapping": {"overlapping"},
}
"""The kinds of finding for each defect that a listing shows; the other defects need the content of objects."""


def add_defects(store: PrefixStore, ranges: int, seed: int) -> dict[str, int]:
    """Add ten defects, each in a range with complete neighbours; return the start of each range."""
    positions = Random(seed).sample(range(1, ranges - 2, 3), len(DEFECTS) + 2)
    starts = dict(zip([*DEFECTS, "duplicate", "overlapping"], (each * WIDTH for each in positions), strict=True))
    for defect, change in DEFECTS.items():
        change(store.versions[prefix_at(starts[defect])])
    body = next(held[0] for held in store.versions[prefix_at(0)].values() if held[0][:4] == b"PAR1")
    other = task_of(DATASET, starts["duplicate"], starts["duplicate"] + WIDTH).model_copy(
        update={"config_hash": "other"}
    )
    wide = task_of(DATASET, starts["overlapping"], starts["overlapping"] + WIDTH + WIDTH // 2)
    store.versions |= dict(published(task, body) for task in (other, wide))
    return starts


def prefix_at(start: int) -> str:
    """Return the prefix of the range with this start."""
    return layout.prefix(task_of(DATASET, start, start + WIDTH))


async def verify_store(store: PrefixStore) -> list[Verified]:
    """Verify every version, also missing ones."""
    locations = [location_of(prefix) for prefix in store.versions]
    with tempfile.TemporaryDirectory() as scratch:
        return [
            await verify(_as_store(store), location, make_prover=_prover_of, scratch=Path(scratch))
            for location in locations
            if isinstance(location, Location)
        ]


def check_coverage_of(store: PrefixStore, ranges: int) -> Coverage:
    """Survey the complete listing."""
    return check_coverage(store.all_stored(), start=0, end=ranges * WIDTH)


def _as_store(store: PrefixStore) -> Any:
    return store


def _prover_of(task: Task) -> RowsProver:
    return RowsProver(task, all_datasets()[task.cryo_dataset_name], executable="x")


def differences(starts: Mapping[str, int], coverage: Coverage, found: list[Verified]) -> list[str]:
    """Return missed and false findings; empty means that exactly the added defects were found."""
    wanted = {(kind, starts[defect]) for defect, kinds in BY_LISTING.items() for kind in kinds}
    # The wide version shares blocks with two neighbours.
    wanted.add(("overlapping", starts["overlapping"] + WIDTH))
    actual = {(finding.kind, finding.start) for finding in coverage.findings}
    reported = {int(verified.prefix.split("/")[3].partition("_")[0]) for verified in found if verified.findings}
    changed = {starts[defect] for defect in DEFECTS}
    problems = [f"gaps did not find {each}" for each in wanted - actual]
    problems += [f"gaps wrongly found {each}" for each in actual - wanted]
    problems += [f"verify did not find the defect at {start}" for start in changed - reported]
    return problems + [f"verify wrongly found something at {start}" for start in reported - changed]
