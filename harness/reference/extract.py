"""Run Cryo until the range is complete or three consecutive runs add no chunk (OUT-5), and read its files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.reference import proof
from harness.reference.bugs import has_bug
from harness.reference.cryo import Cryo, Ended, check_caps, check_count
from harness.reference.errors import Fatal, Retryable

if TYPE_CHECKING:
    from pathlib import Path

    from harness.reference.cancellation import Cancellation
    from harness.reference.log import Log
    from harness.reference.settings import Settings
    from harness.reference.staging import Staging
    from harness.reference.task import Chunk, Task

RUNS_WITHOUT_PROGRESS = 3
FIRST_PAUSE_SECONDS = 0.2
USAGE = 2
"""The exit code of clap for bad arguments."""


def extract(
    task: Task, settings: Settings, url: str | None, staging: Staging, cancellation: Cancellation, log: Log
) -> list[proof.File]:
    """Return the files of the range, proved by their rows.

    Raises:
        AttemptError: fatal or retryable, according to OUT-2, OUT-4 and CAP.
    """
    if not (has_bug("caps-are-not-watched") or has_bug("uploads-before-the-caps")):
        check_count(len(task.chunks()), settings)
    cryo = Cryo(task, settings, url, staging, cancellation)
    complete: list[proof.File] = []
    earlier: list[str] = []
    without_progress = runs = 0
    while True:
        ended = cryo.run()
        runs += 1
        log.write("cryo.ended", code=ended.code, output=ended.output)
        before = len(complete)
        complete, problems = _read_chunks(task, cryo, ended, settings)
        if not problems:
            return complete
        without_progress = 0 if len(complete) > before else without_progress + 1
        message = _describe(task, ended, problems, again=problems == earlier, log=log)
        if without_progress >= RUNS_WITHOUT_PROGRESS or has_bug("runs-cryo-once"):
            raise (Fatal if has_bug("failed-proof-is-fatal") else Retryable)(message)
        earlier = problems
        log.write("cryo.again", reason=message)
        pause = FIRST_PAUSE_SECONDS * 2 ** min(runs - 1, 5)
        if pause >= cryo.remaining_seconds():
            raise Retryable(f"{message}; there is no time for another run before the deadline")
        cancellation.pause(pause)


def _read_chunks(task: Task, cryo: Cryo, ended: Ended, settings: Settings) -> tuple[list[proof.File], list[str]]:
    """Return the complete chunks and the problems; delete all other files."""
    _check_exit_code(cryo, ended)
    if not has_bug("uploads-before-the-caps"):
        check_caps(cryo.directory, settings)
    written = sorted(path for path in cryo.directory.rglob("*.parquet")) if cryo.directory.is_dir() else []
    if ended.code == 0 and not written:
        raise Fatal("Cryo ended with exit code 0 and wrote no Parquet file")
    chunks = {chunk.name: chunk for chunk in task.chunks()}
    complete, problems = [], [] if ended.code == 0 else [f"Cryo ended with {_ending(ended.code)}"]
    for path in written:
        chunk = chunks.pop(path.name, None)
        if chunk is None:
            problems.append(f"{path.name} is not a file of the range")
            path.unlink()
            continue
        file = _read(path, chunk, task, cryo, problems)
        if file is not None:
            proof.check_mark(file.is_fake, mode_is_fake=settings.is_fake, where=path.name)
            complete.append(file)
    if not has_bug("believes-exit-zero"):
        problems += [f"blocks {chunk.first}..{chunk.last} are missing" for chunk in chunks.values()]
    _delete_all_but_parquet(cryo)
    if has_bug("publishes-part-of-the-range") and ended.code == 1 and complete:
        return complete, []
    return complete, [] if has_bug("believes-exit-zero") and ended.code == 0 else problems


def _read(path: Path, chunk: Chunk, task: Task, cryo: Cryo, problems: list[str]) -> proof.File | None:
    try:
        return proof.read(chunk, path.read_bytes(), task.cryo_dataset_name)
    except proof.Broken as broken:
        problems.append(str(broken))
        if not has_bug("keeps-broken-chunks"):
            path.unlink()
        return None
    except proof.OtherSchema as other:
        error_class = Retryable if has_bug("other-schema-is-retryable") else Fatal
        raise error_class(f"{other}: {cryo.program} is not the pinned Cryo") from None


def _check_exit_code(cryo: Cryo, ended: Ended) -> None:
    """Raise if another run can't succeed."""
    if ended.code == USAGE:
        error_class = Retryable if has_bug("usage-error-is-retryable") else Fatal
        raise error_class(f"Cryo rejected its arguments with exit code 2: is {cryo.program} version 0.3.2?")
    if "error writing file" in ended.output and has_bug("full-disk-is-fatal"):
        raise Fatal("Cryo could not write a file")
    if ended.code != 0 and has_bug("exit-one-is-fatal"):
        raise Fatal(f"Cryo ended with {ended.code}")


def _delete_all_but_parquet(cryo: Cryo) -> None:
    for path in cryo.directory.iterdir() if cryo.directory.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            if not has_bug("uploads-reports"):
                shutil.rmtree(path)
        elif path.suffix != ".parquet":
            path.unlink()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _describe(task: Task, ended: Ended, problems: list[str], *, again: bool, log: Log) -> str:
    output = f"; the end of its output: {log.clean(ended.output[-500:])}" if ended.code != 0 and ended.output else ""
    twice = "; the same node gave the same answer twice" if again else ""
    span = f"[{task.range_start}, {task.range_end})"
    return f"the range {span} of {task.cryo_dataset_name} is incomplete: {'; '.join(problems[:10])}{twice}{output}"
