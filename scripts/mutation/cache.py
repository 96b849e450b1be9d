"""Keeps recorded runs in `out/`, until the code that they ran changes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mutation.population import ROOT

T = TypeVar("T")
SOURCES = (
    "cryo_ingest/**/*.py",
    "harness/**/*.py",
    "tests/simulation/*.py",
    "fixtures/scenarios/*.toml",
    "scripts/mutation/simulated.py",
    "scripts/mutation/wire.py",
    "scripts/mutation/worker.py",
)


@dataclass(frozen=True, slots=True)
class Cache:
    """What was made for the sources with this digest."""

    folder: Path
    digest: str

    def kept(self, name: str, make: Callable[[], T], *, is_worth_it: Callable[[T], bool] = lambda _: True) -> T:
        """Return what was made before, or make it, and keep it if it is worth it."""
        path = self.folder / self.digest / f"{name}.pickle"
        if path.exists():
            content: T = pickle.loads(path.read_bytes())  # noqa: S301 - this program wrote it
            return content
        content = make()
        if not is_worth_it(content):
            return content
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(pickle.dumps(content))
        unfinished.rename(path)
        return content


def current(root: Path = ROOT) -> Cache:
    """Return the cache for the sources as they are."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in root.glob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return Cache(root / "out" / "mutation", digest.hexdigest()[:16])
