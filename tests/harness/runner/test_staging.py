"""What was planted in staging is watched so closely that no touch goes by."""

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


def planted(tmp_path: Path) -> tuple[Scenario, staging.States, tuple[Path, Path, str]]:
    (scenario,) = find([LINK])
    places = (tmp_path / "root", tmp_path / "outside", "task")
    staging.plant(scenario, *places)
    return scenario, staging.states(scenario, *places), places


def test_what_nobody_touched_is_as_it_was(tmp_path: Path):
    """To look at it, before and after, is no touch."""
    scenario, before, places = planted(tmp_path)
    assert all(staging.untouched(before, scenario, *places).values())


@pytest.mark.parametrize("touch", [look_through, list_it, overwrite, add, mark])
def test_every_touch_behind_a_link_is_seen(touch: Callable[[Path], None], tmp_path: Path):
    """Reading, listing, writing and marking leave a trace."""
    if touch in (look_through, list_it) and not keeps_access_times(tmp_path):
        pytest.skip("this file system keeps no access times")
    scenario, before, places = planted(tmp_path)
    touch(places[1])
    assert staging.untouched(before, scenario, *places)[staging.BEHIND_LINKS] is False


def keeps_access_times(folder: Path) -> bool:
    file = folder / "probe"
    file.write_bytes(b"x")
    os.utime(file, ns=(0, 1))
    file.read_bytes()
    return file.stat().st_atime_ns != 0
