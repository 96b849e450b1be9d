"""A store of many published ranges with defects planted in it, and what `verify` and `gaps` have to find of them.

All ranges are without rows (as a dataset may well be), so that one file's bytes are every file's and the store costs
nothing to build.
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
from cryo_ingest.audit.gaps import Coverage, survey
from cryo_ingest.audit.locations import Location, location_of
from cryo_ingest.audit.verify import Verified, verify
from cryo_ingest.datasets import all_datasets
from cryo_ingest.model import Task
from cryo_ingest.ports import StoredObject
from cryo_ingest.prove.rows import RowsProof
from cryo_ingest.publish.version import Version

DATASET, WIDTH = "nonce_diffs", 1000
Objects = dict[str, tuple[bytes, Mapping[str, str]]]


class PrefixStore:
    """As much of `ports.ObjectStore` as an audit asks for; it finds a version's keys without looking at all others."""

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
    """Return a whole version's prefix and objects."""
    version = Version.from_task(task, mode="real")
    facts = {"sha256": hashlib.sha256(body).hexdigest(), "rows": "0", "block-min": "", "block-max": ""}
    objects: Objects = {key: (body, facts | {"evidence": "rows"}) for key in version.manifest.parquet_keys}
    return version.prefix, objects | {version.manifest_key: (version.manifest.to_bytes(), {})}


def make_store(ranges: int, folder: Path) -> PrefixStore:
    """Return a store of so many whole ranges."""
    body = forge(folder / "empty.parquet", DATASET, Forged(0, groups=0)).read_bytes()
    starts = range(0, ranges * WIDTH, WIDTH)
    return PrefixStore(dict(published(task_of(DATASET, start, start + WIDTH), body) for start in starts))


def _manifest(objects: Objects) -> str:
    return next(key for key in objects if key.endswith(layout.MANIFEST_NAME))


def _file(objects: Objects) -> str:
    return next(key for key in objects if key.endswith(".parquet"))


def _cut(key: Callable[[Objects], str], end: int) -> Callable[[Objects], object]:
    return lambda objects: objects.update({key(objects): (objects[key(objects)][0][:end], objects[key(objects)][1])})


def _told(**facts: str) -> Callable[[Objects], object]:
    def tell(objects: Objects) -> None:
        body, metadata = objects[_file(objects)]
        objects[_file(objects)] = (body, metadata | {name.replace("_", "-"): value for name, value in facts.items()})

    return tell


PLANTS: dict[str, Callable[[Objects], object]] = {
    "missing": dict.clear,
    "unpublished": lambda objects: objects.pop(_manifest(objects)),
    "torn manifest": _cut(_manifest, -40),
    "missing object": lambda objects: objects.pop(_file(objects)),
    "truncated file": _cut(_file, -100),
    "wrong row count": _told(rows="7"),
    "bad metadata": _told(evidence="hearsay"),
    "foreign file": lambda objects: objects.update({_file(objects) + "._tmp": (b"x", {})}),
}
"""What a range's objects are changed by; two defects more are versions more: `doubled` and `overlapping`."""

BY_LISTING = {
    "missing": {"missing"},
    "unpublished": {"unpublished", "missing"},
    "missing object": {"torn", "missing"},
    "foreign file": {"stray"},
    "doubled": {"doubled"},
    "overlapping": {"overlapping"},
}
"""The kinds of gap that show a defect; all others have to be read for."""


def plant(store: PrefixStore, ranges: int, seed: int) -> dict[str, int]:
    """Plant ten defects, each in a range of its own with whole neighbours; return where each range starts."""
    places = Random(seed).sample(range(1, ranges - 2, 3), len(PLANTS) + 2)
    starts = dict(zip([*PLANTS, "doubled", "overlapping"], (place * WIDTH for place in places), strict=True))
    for defect, change in PLANTS.items():
        change(store.versions[prefix_at(starts[defect])])
    body = next(held[0] for held in store.versions[prefix_at(0)].values() if held[0][:4] == b"PAR1")
    other = task_of(DATASET, starts["doubled"], starts["doubled"] + WIDTH).model_copy(update={"config_hash": "other"})
    wide = task_of(DATASET, starts["overlapping"], starts["overlapping"] + WIDTH + WIDTH // 2)
    store.versions |= dict(published(task, body) for task in (other, wide))
    return starts


def prefix_at(start: int) -> str:
    """Return the prefix of the range that starts there."""
    return layout.prefix(task_of(DATASET, start, start + WIDTH))


async def verify_store(store: PrefixStore) -> list[Verified]:
    """Judge every version, those that are not there too."""
    places = [location_of(prefix) for prefix in store.versions]
    with tempfile.TemporaryDirectory() as scratch:
        return [
            await verify(_as_store(store), place, make_proof=_proof_of, scratch=Path(scratch))
            for place in places
            if isinstance(place, Location)
        ]


def survey_store(store: PrefixStore, ranges: int) -> Coverage:
    """Judge the whole listing."""
    return survey(store.all_stored(), start=0, end=ranges * WIDTH)


def _as_store(store: PrefixStore) -> Any:
    return store


def _proof_of(task: Task) -> RowsProof:
    return RowsProof(task, all_datasets()[task.cryo_dataset_name], executable="x")


def unexpected(starts: Mapping[str, int], coverage: Coverage, found: list[Verified]) -> list[str]:
    """Say what was not found, and what was invented; empty means all and nothing but what was planted."""
    wanted = {(kind, starts[defect]) for defect, kinds in BY_LISTING.items() for kind in kinds}
    # The wide version shares blocks with two neighbours.
    wanted.add(("overlapping", starts["overlapping"] + WIDTH))
    seen = {(gap.kind, gap.start) for gap in coverage.gaps}
    told = {int(verified.prefix.split("/")[3].partition("_")[0]) for verified in found if verified.findings}
    read = {starts[defect] for defect in PLANTS}
    problems = [f"gaps did not find {each}" for each in wanted - seen]
    problems += [f"gaps invented {each}" for each in seen - wanted]
    problems += [f"verify did not find what is wrong at {start}" for start in read - told]
    return problems + [f"verify invented something at {start}" for start in told - read]
