"""Cryo's output: parameters before extraction, error and collection summaries after; no colours, as in a pipe."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.fakes.cryo.report import VERSION
from harness.world.catalogue import datasets

if TYPE_CHECKING:
    from datetime import datetime

    from harness.fakes.cryo.arguments import Arguments
    from harness.fakes.cryo.collect import Collection
    from harness.fakes.cryo.plan import Plan
    from harness.fakes.cryo.source import Source

MAX_MESSAGES = 10


def introduction(arguments: Arguments, plan: Plan, source: Source, report: str | None) -> str:
    """Return the output before extraction; as in Cryo, it contains the URL with its secrets."""
    chunks = sorted((*plan.chunks, *plan.skipped), key=lambda chunk: chunk.path)
    numbers = [number for chunk in chunks for number in (min(chunk.blocks.numbers), max(chunk.blocks.numbers))]
    total = sum(len(chunk.blocks.numbers) for chunk in chunks)
    limit = "unlimited" if arguments.requests_per_second is None else f"{arguments.requests_per_second:,}"
    lines = [
        *_header("cryo parameters"),
        f"- version: {VERSION}",
        "- data: ",
        f"    - datatypes: {plan.dataset}",
        f"    - block: {numbers[0]:,}"
        if total == 1
        else f"    - blocks: n={total:,} min={min(numbers):,} max={max(numbers):,} align=no reorg_buffer=0",
        "- source: ",
        f"    - network: {plan.network}",
        f"    - rpc url: {source.url or 'none (fake data)'}",
        f"    - max requests per second: {limit}",
        f"    - max concurrent requests: {limit}",
        f"    - max concurrent chunks: {arguments.max_concurrent_chunks or 4}",
        "- output: ",
        f"    - chunk size: {len(chunks[0].blocks.numbers):,}",
        f"    - chunks to collect: {len(plan.chunks):,} / {len(chunks):,}",
        "    - output format: parquet",
        f"    - output dir: {plan.directory}",
        f"    - report file: {report}",
        "",
        "",
        *_header(f"schema for {plan.dataset}"),
        *(f"- {name}: {kind.removeprefix('large_')}" for name, kind in datasets()[plan.dataset].columns),
        "",
        f"sorting {plan.dataset} by: {', '.join(datasets()[plan.dataset].sort)}",
        "",
    ]
    lines += ["", "[dry run, exiting]"] if arguments.dry else ["", *_header("collecting data")]
    return "\n".join(lines)


def conclusion(plan: Plan, done: Collection, *, started: datetime, ended: datetime) -> str:
    """Return the output after extraction, with at most ten different error messages and their counts."""
    errors = [message for _, message in done.errored]
    collected = len(done.completed)
    lines = [f"started at {started:%Y-%m-%d %H:%M:%S.%f}"[:-3], f"   done at {ended:%Y-%m-%d %H:%M:%S.%f}"[:-3], "", ""]
    if errors:
        lines += [*_header("error summary"), f"(errors in {len(errors)} chunks)"]
        lines += [f"- {message} ({count}x)" for message, count in Counter(errors).most_common(MAX_MESSAGES)]
        lines += ["", ""]
    total = len(plan.chunks) + len(plan.skipped)
    seconds = max((ended - started).total_seconds(), 1e-6)
    blocks = sum(len(chunk.blocks.numbers) for chunk in done.completed)
    counts = {"errored: ": len(errors), "skipped: ": len(plan.skipped), "collected:": collected}
    lines += [
        *_header("collection summary"),
        f"- total duration: {seconds:.3f} seconds",
        f"- total chunks: {total:,}",
        *(f"    - chunks {name} {count:,} / {total:,} ({100 * count // total}.0%)" for name, count in counts.items()),
        f"- blocks collected: {blocks:,}",
        f"    - blocks per second: {blocks / seconds:,.1f}",
        f"    - blocks per minute: {blocks / seconds * 60:,.1f}",
        f"    - blocks per hour: {blocks / seconds * 3600:,.1f}",
        f"    - blocks per day: {blocks / seconds * 86400:,.1f}",
        f"- rows written: {done.rows:,}",
    ]
    return "\n".join(lines)


def _header(title: str) -> tuple[str, str]:
    return title, "─" * len(title)
