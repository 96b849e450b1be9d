"""Every access to preloaded files in staging is detected."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.runner import staging
from harness.scenario import Scenario, find

LINK = "staging-link"


def look_through(outside: Path) -> None:
    (outside / "kept.parquet").read_bytes()


def list_it(outside: Path) -> None:
    list(outside.iterdir())


def overwrite(outside: Path) -> None:
    (outside / "kept.parquet").write_bytes(b"somebody ELSE's")


def add(outside: Path) -> None:
    (outside / "new").touch()


def mark(outside: Path) -> None:
    os.utime(outside)


def preloaded(tmp_path: Path) -> tuple[Scenario, staging.PathStates, tuple[Path, Path, str]]:
    (scenario,) = find([LINK])
    places = (tmp_path / "root", tmp_path / "outside", "task")
    staging.create_preloaded_files(scenario, *places)
    return scenario, staging.path_states(scenario, *places), places


def test_untouched_files_are_reported_as_unchanged(tmp_path: Path):
    """Reading the states does not count as an access."""
    scenario, before, places = preloaded(tmp_path)
    assert all(staging.unchanged_files(before, scenario, *places).values())


@pytest.mark.parametrize("touch", [look_through, list_it, overwrite, add, mark])
def test_every_access_behind_a_link_is_detected(touch: Callable[[Path], None], tmp_path: Path):
    """Reading, listing, writing, creating a file and setting times are detected."""
    if touch in (look_through, list_it) and not keeps_access_times(tmp_path):
        pytest.skip("this file system does not record access times")
    scenario, before, places = preloaded(tmp_path)
    touch(places[1])
    assert staging.unchanged_files(before, scenario, *places)[staging.BEHIND_LINKS] is False


def keeps_access_times(folder: Path) -> bool:
    file = folder / "probe"
    file.write_bytes(b"x")
    os.utime(file, ns=(0, 1))
    file.read_bytes()
    return file.stat().st_atime_ns != 0
