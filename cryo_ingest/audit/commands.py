"""The commands `verify` and `gaps`: open stores, print results, and return the exit code."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_ingest import logs
from cryo_ingest.audit.gaps import check_coverage
from cryo_ingest.audit.verify import Verified, verify
from cryo_ingest.clock import SystemClock
from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import BadPayload, IngestError
from cryo_ingest.model import parse_task
from cryo_ingest.prove.level import make_prover
from cryo_ingest.prove.rows import RowsProver
from cryo_ingest.publish.stores import open_store
from cryo_ingest.redact import Redactor
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.endpoint import open_endpoint
from cryo_ingest.screen import Screen
from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryo_ingest.audit.gaps import Coverage
    from cryo_ingest.audit.locations import Location
    from cryo_ingest.model import Task
    from cryo_ingest.ports import Prover
    from cryo_ingest.screen import Show
    from cryo_ingest.settings import Settings


def verify_all(
    locations: Sequence[tuple[str, Location]], *, settings: Settings, against: str | None, as_json: bool, show: Show
) -> int:
    """Verify versions one after another, print the results, and return 1 if there are findings.

    If a store or the node failed, return the exit code of the error.
    """
    try:
        with screen_of("verify", settings, show) as screen:
            found = asyncio.run(_verify_all(locations, settings, against, screen))
    except IngestError as error:
        sys.stderr.write(f"cryo-ingest: {without_attempt(str(error))}\n")
        return error.exit_code
    if as_json:
        sys.stdout.write(json.dumps([asdict(version) for version in found], indent=2) + "\n")
    else:
        rows = [
            (
                version.prefix,
                version.files,
                version.rows,
                version.evidence,
                f"{version.checksums} of {version.files}",
                len(version.findings),
            )
            for version in found
        ]
        print_table("versions", ("prefix", "files", "rows", "evidence", "checksums compared", "problems"), rows)
        problems = [(finding.key, finding.problem) for version in found for finding in version.findings]
        if problems:
            print_table("findings", ("key", "problem"), problems)
    return 1 if any(version.findings for version in found) else 0


@contextmanager
def screen_of(command: str, settings: Settings, show: Show) -> Iterator[Screen | None]:
    """Configure the log; on a terminal, provide a screen and write the log to a file."""
    redactor = Redactor(settings.secrets())
    if not show.is_live(has_log_format=settings.log_format is not None):
        logs.configure(settings.log_format, redactor, quiet=show.quiet)
        yield None
        return
    with logs.open_log_file(logs.default_log_file(command)) as file, Screen() as screen:
        logs.configure(None, redactor, file=file)
        yield screen


OF_AN_ATTEMPT = re.compile(r"[.;] (Nothing was (published|uploaded|replaced or deleted)|Cryo was not started)[^.;]*")
"""What errors say about an attempt; a verification changes nothing anyway, and what it reads is published."""


def without_attempt(message: str) -> str:
    """Return an error's message without what it says about the effects of an attempt."""
    return OF_AN_ATTEMPT.sub("", message)


async def _verify_all(
    locations: Sequence[tuple[str, Location]], settings: Settings, against: str | None, screen: Screen | None
) -> list[Verified]:
    clock, found = SystemClock(), list[Verified]()

    def on_file(done: int, files: int, rows: int) -> None:
        if screen is not None:
            screen.update("versions", "versions", done=len(found), total=len(locations))
            screen.update("files", "files of this one", done=done, total=files, rows=rows)

    # The node is used in both modes: `verify` checks the data, whatever the mode of a worker.
    real = replace(settings, mode="real")
    with tempfile.TemporaryDirectory(prefix="cryo-ingest-verify-") as scratch:
        for url, location in locations:
            store = open_store(url, settings.s3)
            verify_at = partial(
                verify, store, location, scratch=Path(scratch), metadata_required=url.startswith("s3://")
            )
            if against is None:
                found.append(await verify_at(make_prover=_rows_prover, on_file=on_file))
                continue
            task = location.task("blocks", rpc_pool=against)
            async with open_endpoint(task, settings=real, chain=HttpChain(real, clock), clock=clock) as endpoint:
                await endpoint.choose()

                def by_chain(task: Task) -> Prover:
                    dataset = all_datasets()[task.cryo_dataset_name]
                    return make_prover(task, dataset, settings=real, endpoint=endpoint)

                found.append(await verify_at(make_prover=by_chain, rpc_pool=against, on_file=on_file))
    return found


def _rows_prover(task: Task) -> Prover:
    return RowsProver(task, all_datasets()[task.cryo_dataset_name], executable="another Cryo")


@dataclass(frozen=True, slots=True)
class GapsRequest:
    """What `gaps` is asked for: blocks `[start, end)` of the dataset at `prefix` in the store at `url`.

    `like` is the file of a payload. It has the fields that a listing does not contain (`dataset_key`, `rpc_pool`,
    `config_hash`). `task_blocks` is the size of the printed tasks; None means the most frequent size of what is there.
    """

    url: str
    prefix: str
    blocks: tuple[int, int]
    like: Path | None = None
    task_blocks: int | None = None


class BadTemplate(ValueError):
    """The payload of `--like` can't be the template of the dataset's tasks; the message says why."""


def gaps_in(request: GapsRequest, *, settings: Settings, show: Show) -> int:
    """Survey one dataset, print findings on standard error and tasks on standard output; return 1 for findings.

    Raises:
        IngestError: the store failed.
        BadTemplate: the file of `--like` is not a payload of this dataset.
    """
    with screen_of("gaps", settings, show) as screen:
        if screen is not None:
            screen.update("listing", "keys", done=0, total=0)
        listed = asyncio.run(open_store(request.url, settings.s3).list(request.prefix))
    coverage = check_coverage(listed.values(), start=request.blocks[0], end=request.blocks[1])
    template = None if request.like is None else _template(request.like, coverage, request.prefix)
    for finding in coverage.findings:
        sys.stderr.write(f"{finding.kind} {finding.start}:{finding.end} {finding.detail}\n")
    if not listed:
        sys.stderr.write(
            f"nothing is stored below {request.prefix}: check the chain and the dataset's UUID in the URL\n"
        )
    tasks = tasks_for(coverage, request.prefix, task_blocks=request.task_blocks)
    if tasks and template is None:
        sys.stderr.write(f"{len(tasks)} tasks would fill the gaps: --like TASK.json prints them\n")
        return 1
    for task in tasks:
        sys.stdout.write(json.dumps((template or {}) | task, separators=(",", ":")) + "\n")
    return 1 if coverage.findings else 0


def _template(file: Path, coverage: Coverage, prefix: str) -> dict[str, object]:
    """Return the payload in a file, after a check that it is one of this dataset.

    Raises:
        BadTemplate: it is not.
    """
    try:
        task = parse_task(json.loads(file.read_bytes()))
    except OSError as error:
        raise BadTemplate(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BadTemplate(f"{file} is not JSON") from None
    except BadPayload as error:
        raise BadTemplate(f"{file} is not a payload: {without_attempt(str(error))}") from None
    _, chain_id, dataset_uuid, _ = prefix.split("/")
    known = {"dataset_uuid": dataset_uuid, "chain_id": int(chain_id)}
    known |= {"cryo_dataset_name": coverage.dataset} if coverage.dataset is not None else {}
    for field, expected in known.items():
        if (seen := getattr(task, field)) != expected:
            raise BadTemplate(f"{file} is a task of another dataset: its {field} is {seen}, not {expected}")
    return task.model_dump()


def tasks_for(coverage: Coverage, prefix: str, *, task_blocks: int | None = None) -> list[dict[str, object]]:
    """Return payloads for the missing ranges, with the fields that a listing contains."""
    _, chain_id, dataset_uuid, _ = prefix.split("/")
    known: dict[str, object] = {"dataset_uuid": dataset_uuid, "chain_id": int(chain_id)}
    if coverage.dataset is not None:
        known["cryo_dataset_name"] = coverage.dataset
    return [known | {"range_start": start, "range_end": end} for start, end in coverage.missing(task_blocks)]
