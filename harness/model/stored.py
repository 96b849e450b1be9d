"""What the objects that are under a task's prefix already mean: LAY-10, LAY-11 and LAY-12."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract import LEVELS, MANIFEST_NAME, chunks
from harness.model.allowed import FATAL, Finding, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.scenario import PreloadedObject, Scenario

MANIFEST = "{prefix}" + MANIFEST_NAME
CHUNK = "{prefix}{chunk}"


@dataclass(frozen=True, slots=True)
class Stored:
    """The preloaded objects of the first task's version, `published` if they are the whole of it with its manifest.

    `files` tells whether a whole file of it is there; `is_known` is False for objects that the model does not read.
    """

    published: bool = False
    files: bool = False
    is_known: bool = True


def stored_of(scenario: Scenario, payload: Mapping[str, Any]) -> Stored:
    """Return what is stored of a version before the run."""
    objects = [each for each in scenario.preloaded_objects if each.dataset in {None, payload["cryo_dataset_name"]}]
    whole = {each.chunk for each in objects if each.key == CHUNK and each.content == "whole"}
    others = {each.chunk for each in objects if each.key == CHUNK and each.content != "whole"}
    manifests = [each for each in objects if each.key == MANIFEST]
    levels = [LEVELS.index(each.evidence) for each in objects if each.key == CHUNK]
    count = len(chunks(payload["range_start"], payload["range_end"]))
    is_proved = min(levels, default=0) >= LEVELS.index(scenario.level)
    published = (
        whole - others == set(range(count))
        and [each.content for each in manifests] == ["manifest"]
        and (is_proved or scenario.mode == "fake")
    )
    return Stored(published, bool(whole), all(_is_read(each) for each in objects))


def _is_read(stored: PreloadedObject) -> bool:
    """Return whether the model knows what becomes of an object: a foreign one directly under the prefix is deleted."""
    is_foreign = stored.content == "text" and stored.key.startswith("{prefix}") and "{chunk}" not in stored.key
    return stored.key in {CHUNK, MANIFEST} or is_foreign


def stored_findings(scenario: Scenario, payload: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield stored data that the task must not touch: those of another dataset, and those of the other mode."""
    foreign = [each for each in scenario.preloaded_objects if each.dataset not in {None, payload["cryo_dataset_name"]}]
    if any(each.key == MANIFEST for each in foreign) and any(each.key == CHUNK for each in foreign):
        yield Finding(Stage.BEFORE_CRYO, FATAL, "LAY-12", certain=_has_all(foreign, payload))
    made_up = [each for each in scenario.preloaded_objects if each.key == CHUNK and each.content == "fake"]
    real = [each for each in scenario.preloaded_objects if each.key == CHUNK and each.content == "whole"]
    if (made_up and scenario.mode == "real") or (real and scenario.mode == "fake"):
        # When it is found, Cryo may have run.
        yield Finding(Stage.CRYO, FATAL, "LAY-11")


def _has_all(objects: list[PreloadedObject], payload: Mapping[str, Any]) -> bool:
    """Return whether objects of another dataset are a complete version, and so can't be leftovers."""
    count = len(chunks(payload["range_start"], payload["range_end"]))
    return {each.chunk for each in objects if each.key == CHUNK and each.content == "whole"} == set(range(count))
