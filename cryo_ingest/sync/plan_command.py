"""`cryo-ingest plan`: what of a job is published, what is missing, and how many calls the rest will cost."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cryo_ingest import logs
from cryo_ingest.redact import Redactor
from cryo_ingest.screen import Show
from cryo_ingest.sync.cost import calls_by_method
from cryo_ingest.sync.derived import derive_streams
from cryo_ingest.sync.estimate import Estimate
from cryo_ingest.sync.plan import StreamPlan, in_block_order, plan_stream
from cryo_ingest.sync.published import list_published
from cryo_ingest.sync.sample import sample_plans
from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.derived import Blocks
    from cryo_ingest.sync.job import Job
    from cryo_ingest.sync.prices import Prices
    from cryo_ingest.sync.sample import Sampled


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan: a job, the organization that its dataset ids belong to, and the blocks."""

    job: Job
    org_id: str
    target: Blocks


async def make_plans(request: PlanRequest, store: ObjectStore) -> tuple[StreamPlan, ...]:
    """List what is published of each stream, one stream after another, and plan the rest.

    One listing at a time keeps memory at that of the largest stream.

    Raises:
        IngestError: the store failed.
    """
    return tuple(
        [
            plan_stream(stream, await list_published(store, stream), target=request.target)
            for stream in derive_streams(request.job, org_id=request.org_id)
        ]
    )


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What `plan` prints: the `form`, and with `sample` estimates too; `prices` are the credits of calls."""

    form: Literal["tables", "json", "tasks"] = "tables"
    sample: bool = False
    prices: Prices | None = None
    show: Show = field(default_factory=Show)


def plan(request: PlanRequest, *, settings: Settings, store: ObjectStore, options: PlanOptions) -> int:
    """Print a job's plan, or the payloads of its tasks; return 0.

    Raises:
        IngestError: the store failed, or a sample.
    """
    logs.configure(settings.log_format, Redactor(settings.secrets()), quiet=options.show.quiet)
    plans = asyncio.run(make_plans(request, store))
    if options.form == "tasks":
        for stream, blocks in in_block_order(plans):
            sys.stdout.write(json.dumps(stream.payload(blocks), separators=(",", ":")) + "\n")
        return 0
    sampled = _sample(plans, settings, options.show) if options.sample else None
    if options.form == "json":
        content = to_json(request, plans, settings=settings, prices=options.prices, sampled=sampled)
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        _print_tables(plans, settings, sampled)
        _print_notes(plans, settings, options.prices, sampled)
    return 0


def _sample(plans: Sequence[StreamPlan], settings: Settings, show: Show) -> Sampled:
    """Sample the chain, on a terminal with its progress."""
    from cryo_ingest.audit.commands import screen_of  # noqa: PLC0415 - slow to import, and most plans have no samples

    with screen_of("plan", settings, show) as screen:

        def on_sample(done: int, count: int) -> None:
            if screen is not None:
                screen.update("samples", "samples", done=done, total=count)

        return asyncio.run(sample_plans(plans, settings=settings, on_sample=on_sample))


def to_json(
    request: PlanRequest,
    plans: Sequence[StreamPlan],
    *,
    settings: Settings,
    prices: Prices | None = None,
    sampled: Sampled | None = None,
) -> dict[str, Any]:
    """Return a plan as a JSON object; block ranges are end-exclusive."""
    streams = [_stream_to_json(each, settings) for each in plans]
    if sampled is not None:
        for stream in streams:
            found = sampled.estimates.get(stream["dataset_key"], Estimate(0, 0))
            stream["estimate"] = {"rows": found.rows, "bytes": found.size_bytes}
    calls = sum((Counter(stream["calls"]) for stream in streams), Counter[str]())
    credits_of_calls = {} if prices is None else {"credits": prices.of(calls)}
    return credits_of_calls | {
        "job": request.job.name,
        "chain_id": request.job.chain_id,
        "org_id": request.org_id,
        "from_block": request.target[0],
        "to_block": request.target[1],
        "level": settings.configured_proof_level or "chain",
        "streams": streams,
        "calls": dict(sorted(calls.items())),
        "seconds_at_rate": _seconds_at_rate(sum(calls.values()), settings),
    }


def _stream_to_json(plan: StreamPlan, settings: Settings) -> dict[str, Any]:
    return {
        "dataset_key": plan.stream.key,
        "dataset_uuid": plan.stream.dataset_uuid,
        "cryo_dataset_name": plan.stream.stream.cryo_dataset_name,
        "rpc_pool": plan.stream.stream.rpc_pool,
        "blocks": plan.blocks,
        "missing_blocks": plan.missing_blocks,
        "next_block": plan.next_block,
        "published_ranges": len(plan.published.complete),
        "unfinished_ranges": len(plan.published.unfinished),
        "other_versions": plan.published.other_versions,
        "strays": plan.published.strays,
        "tasks": len(plan.tasks),
        "files": plan.missing_files,
        "calls": _calls(plan, settings),
    }


def _calls(plan: StreamPlan, settings: Settings) -> dict[str, int]:
    level = settings.configured_proof_level or "chain"
    dataset = plan.stream.stream.cryo_dataset_name
    return calls_by_method(dataset, plan.tasks, level=level, log_range=settings.log_range)


def _seconds_at_rate(calls: int, settings: Settings) -> float | None:
    """Return the least time that the limit on calls allows; None without a limit."""
    return None if settings.requests_per_second is None else round(calls / settings.requests_per_second, 1)


def _print_tables(plans: Sequence[StreamPlan], settings: Settings, sampled: Sampled | None) -> None:
    rows = [
        (
            plan.stream.key,
            plan.blocks,
            plan.blocks - plan.missing_blocks,
            plan.missing_blocks,
            plan.next_block,
            len(plan.tasks),
            plan.missing_files,
            sum(_calls(plan, settings).values()),
        )
        for plan in plans
    ]
    columns = ("stream", "blocks", "published", "missing", "next block", "tasks", "files", "calls")
    print_table("plan", columns, rows)
    if sampled is not None:
        estimates = [(key, found.rows, found.size_bytes) for key, found in sampled.estimates.items()]
        sys.stdout.write("\n")
        print_table("estimated from samples", ("stream", "rows", "bytes"), estimates)
    calls = [
        (plan.stream.key, method, count)
        for plan in plans
        if plan.tasks
        for method, count in _calls(plan, settings).items()
    ]
    if calls:
        sys.stdout.write("\n")
        print_table(
            f"calls, at level {settings.configured_proof_level or 'chain'}", ("stream", "method", "calls"), calls
        )


def _print_notes(
    plans: Sequence[StreamPlan], settings: Settings, prices: Prices | None, sampled: Sampled | None
) -> None:
    """Print on standard error what the tables do not show."""
    notes = []
    calls = sum((Counter(_calls(plan, settings)) for plan in plans), Counter[str]())
    total = calls.total()
    if prices is not None:
        notes.append(f"{total:,} calls cost {prices.of(calls):,.0f} credits")
    if sampled is not None:
        notes.append(f"the samples have cost {sampled.calls:,} calls; nothing of them was published")
    seconds = _seconds_at_rate(total, settings)
    if seconds is not None and total:
        rate = settings.requests_per_second
        notes.append(f"{total:,} calls take at least {seconds:,.0f} s at TRACE_CRYO_REQUESTS_PER_SECOND={rate}")
    for plan in plans:
        found = plan.published
        if found.unfinished:
            notes.append(f"{plan.stream.key}: {len(found.unfinished)} range(s) were begun and are not published")
        if found.other_versions:
            notes.append(f"{plan.stream.key}: {found.other_versions} version(s) have another config_hash; not counted")
        if found.strays:
            notes.append(f"{plan.stream.key}: {found.strays} key(s) belong to no version; not counted")
        if plan.largest_task_files > settings.caps.max_files:
            notes.append(
                f"{plan.stream.key}: its tasks have {plan.largest_task_files} files, more than "
                f"MAX_PARQUET_FILES_PER_RANGE={settings.caps.max_files}: `sync` splits them; "
                "a platform's workers reject them"
            )
    sys.stderr.write("".join(f"{note}\n" for note in notes))
