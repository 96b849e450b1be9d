"""What a run of `fake-cryo` writes: the files of each chunk, the report, the summary on standard output."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from harness.fakes.cryo.arguments import USAGE, Arguments, CommandError
from harness.world.chain import Chain
from harness.world.networks import network_name
from harness.world.tables import TABLES, measured, schema, table

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

FAKE_MARK = {"cryo_ingest.fake": "true"}
"""Contract MOD-5: files that are no endpoint's data say so."""


def refuse_unknown(dataset: str) -> None:
    """Refuse a dataset that Cryo does not have (exit 1, as Cryo), or that is not modelled (exit 2).

    Raises:
        CommandError: Cryo has no such dataset.
        SystemExit: the dataset is not modelled.
    """
    aliases = {alias for facts in measured().values() for alias in facts["aliases"]}
    if dataset not in measured() and dataset not in aliases:
        raise CommandError(f"Parsing error: no datatype matches input: {dataset}")
    if dataset not in TABLES:
        sys.stderr.write(f"error: fake-cryo does not model the dataset {dataset}; it has {', '.join(sorted(TABLES))}\n")
        raise SystemExit(USAGE)


def freeze(arguments: Arguments, *, chain_id: int, seed: int, url: str | None) -> int:
    """Write every chunk that is not there yet, then the report, and return the exit code."""
    network = arguments.network_name or network_name(chain_id)
    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    started = datetime.now().astimezone()
    sys.stdout.write(_parameters(arguments, network, url))
    sys.stdout.flush()
    chain = Chain(chain_id, seed)
    completed, skipped = [], 0
    for start in range(arguments.start, arguments.end, arguments.chunk_blocks):
        end = min(start + arguments.chunk_blocks, arguments.end)
        path = folder / f"{network}__{arguments.dataset}__{start:08d}_to_{end - 1:08d}.parquet"
        if path.exists() and not arguments.overwrite:
            skipped += 1
            continue
        write(table(chain, arguments.dataset, range(start, end)), path, marked=url is None)
        completed.append(path)
    if arguments.report and completed:
        _write_report(arguments, completed, skipped, started)
    sys.stdout.write(f"\ncollection summary\n- chunks collected: {len(completed)}\n- chunks skipped: {skipped}\n")
    return 0


def write(rows: pa.Table, path: Path, *, marked: bool) -> None:
    """Write one file in Cryo's form: LZ4_RAW, one row group, none where there are no rows; renamed when whole."""
    partial = path.with_suffix("._tmp")
    layout = rows.schema.with_metadata(FAKE_MARK) if marked else rows.schema
    with pq.ParquetWriter(partial, layout, compression="lz4", version="2.6") as writer:
        if rows.num_rows:
            writer.write_table(rows.replace_schema_metadata(layout.metadata), row_group_size=rows.num_rows)
    partial.rename(path)


def _parameters(arguments: Arguments, network: str, url: str | None) -> str:
    """Render what Cryo prints first; like the real one, it prints the URL."""
    return (
        "cryo parameters\n───────────────\n- version: 0.3.2\n- data: \n"
        f"    - datatypes: {arguments.dataset}\n    - blocks: n={arguments.end - arguments.start} "
        f"min={arguments.start} max={arguments.end - 1} align=no reorg_buffer=0\n- source: \n"
        f"    - network: {network}\n    - rpc url: {url or '(none: fake data)'}\n- output: \n"
        f"    - chunk size: {arguments.chunk_blocks}\n    - output dir: {arguments.output_dir}\n"
        f"\nschema for {arguments.dataset}\n" + "".join(f"- {field.name}\n" for field in schema(arguments.dataset))
    )


def _write_report(arguments: Arguments, completed: list[Path], skipped: int, started: datetime) -> None:
    folder = arguments.output_dir / ".cryo" / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "cryo_version": "0.3.2",
        "cli_command": ["cryo", *arguments.words],
        "results": {
            "completed_paths": [str(path.resolve()) for path in completed],
            "errored_paths": [],
            "n_skipped": skipped,
        },
        "args": json.dumps({"datatype": [arguments.dataset]}),
    }
    path = folder / f"{started:%Y-%m-%d_%H-%M-%S.%f}.json"
    path.write_text(json.dumps(report), encoding="utf-8")
