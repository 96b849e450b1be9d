"""`make fidelity`: compare real Cryo on the fake pool with `fake-cryo` and the golden files, for all 25 range datasets.

Prints the table of docs/fidelity.md; exits with 1 if there is an unknown difference, or if the data of a dataset is too
poor: fewer than 100 rows outside the empty range, or a constant column that varies in the golden file.
`--datasets NAME…` selects datasets, `--write FILE` replaces the table in a Markdown file. `--gateway` compares instead
real Cryo alone with real Cryo through `cryo-ingest gateway`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gateway_fidelity
import pyarrow as pa
import pyarrow.parquet as pq

from harness.fakes.rpc import Node, RpcPool
from harness.resources import fixtures
from harness.world.catalogue import by_range_alone
from harness.world.chain import Chain

BIN = Path(sys.executable).parent
CHAINS = (Chain(1, seed=0), Chain(137, seed=11))
RANGES = {
    "genesis": ("0:120", 1000),
    "chunk boundary": ("940:1060", 60),
    "partial last chunk": ("3000:3100", 40),
    "empty blocks": ("1104:1120", 1000),
    "past 100,000,000": ("100000000:100000100", 1000),
}
EMPTY = "empty blocks"
UNORDERED = {
    "geth_balance_diffs": "Cryo walks a hash set of accounts: the order within a transaction is random",
    "geth_code_diffs": "as above",
    "geth_nonce_diffs": "as above",
    "geth_storage_diffs": "as above, and one of slots",
}
"""Datasets whose rows are compared as multisets, and why: Cryo's sort (block, transaction) does not fix their order."""

FEWEST_ROWS = 100
DISTINCT_LIMIT = 1000


@dataclass
class Outcome:
    """The result for one dataset over all chains and ranges."""

    dataset: str
    files: int = 0
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    values: dict[str, set[Any]] = field(default_factory=dict)

    def constant_but_not_in_golden(self) -> list[str]:
        """Return the columns that have one value here and several in the golden file."""
        golden = pq.read_table(fixtures() / "golden" / self.dataset / "full.parquet")
        return [
            name
            for name in golden.column_names
            if len(self.values.get(name, ())) <= 1 < len(set(golden[name].to_pylist()))
        ]

    @property
    def has_enough_data(self) -> bool:
        """Whether the data is varied enough for a comparison."""
        return self.rows >= FEWEST_ROWS and not self.constant_but_not_in_golden()


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare fake Cryo with real Cryo.")
    parser.add_argument("--datasets", nargs="*", default=by_range_alone())
    parser.add_argument("--write", type=Path)
    parser.add_argument("--gateway", action="store_true", help="compare real Cryo alone and through the gateway")
    chosen = parser.parse_args()
    if chosen.gateway:
        return gateway_fidelity.compare(chosen.datasets, CHAINS, RANGES, UNORDERED)
    if chosen.write is not None and not chosen.write.is_file():
        parser.error(f"--write {chosen.write}: must be a document that contains the table, such as docs/fidelity.md")
    outcomes = []
    for dataset in chosen.datasets:
        outcome = Outcome(dataset)
        for chain in CHAINS:
            with RpcPool(Node(chain)) as pool:
                for name, (blocks, chunk) in RANGES.items():
                    _compare(outcome, name, ["--blocks", blocks, "--chunk-size", str(chunk)], pool.url)
        verdict = "equal" if not outcome.differences else "; ".join(outcome.differences[:3])
        print(f"{dataset}: {outcome.files} files, {outcome.rows} rows, {verdict}", flush=True)
        outcomes.append(outcome)
    if chosen.write is not None:
        _replace_table(chosen.write, _document(outcomes))
    failed = [outcome.dataset for outcome in outcomes if outcome.differences or not outcome.has_enough_data]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} datasets are equal")
    return 1 if failed else 0


def _compare(outcome: Outcome, name: str, arguments: list[str], url: str) -> None:
    """Run both on one range and compare their files."""
    where = f"{name}"
    with tempfile.TemporaryDirectory() as folder:
        real = _run("cryo-from-wheel", outcome.dataset, arguments, Path(folder, "real"), url)
        fake = _run("fake-cryo", outcome.dataset, arguments, Path(folder, "fake"), url)
        if sorted(real) != sorted(fake) or not real:
            outcome.differences.append(f"{where}: files {sorted(real)} and {sorted(fake)}")
            return
        for file, path in real.items():
            outcome.files += 1
            ours, theirs = pq.read_table(fake[file]), pq.read_table(path)
            if difference := _difference(outcome.dataset, theirs, ours) or _form(outcome.dataset, path, fake[file]):
                outcome.differences.append(f"{where}, {file}: {difference}")
            if name != EMPTY:
                _count(outcome, theirs)


def _run(program: str, dataset: str, arguments: list[str], folder: Path, url: str) -> dict[str, Path]:
    folder.mkdir()
    command = [BIN / program, dataset, *arguments, "--output-dir", folder, "--no-verbose"]
    subprocess.run(command, env=os.environ | {"ETH_RPC_URL": url}, check=False, stdout=subprocess.DEVNULL)
    return {path.name: path for path in folder.glob("*.parquet")}


def _difference(dataset: str, real: pa.Table, fake: pa.Table) -> str | None:
    """Return the first difference between two tables as text, or None."""
    if real.schema.remove_metadata() != fake.schema.remove_metadata():
        return "schemas differ"
    if real.num_rows != fake.num_rows:
        return f"{real.num_rows} rows, not {fake.num_rows}"
    if dataset in UNORDERED:
        return None if _rows(real) == _rows(fake) else "other rows"
    unequal = [name for name in real.column_names if real[name] != fake[name]]
    if unequal and _rows(real) == _rows(fake):
        return "equal rows in another order"
    return f"columns {unequal}" if unequal else None


def _rows(table: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _form(dataset: str, real: Path, fake: Path) -> str | None:
    """Compare the footers with each other and with that of the golden file."""
    forms = [_footer(path) for path in (real, fake, fixtures() / "golden" / dataset / "full.parquet")]
    if forms[0] != forms[1]:
        return f"footers differ: {forms[0]} and {forms[1]}"
    return None if forms[0][1:] == forms[2][1:] else "the footer differs from the golden file"


def _footer(path: Path) -> tuple[Any, ...]:
    """Return row groups, format version, and name, types and levels of each column."""
    metadata = pq.read_metadata(path)
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    described = [
        (column.name, column.physical_type, column.logical_type.to_json(), column.max_definition_level)
        for column in columns
    ]
    groups = metadata.num_row_groups if metadata.num_rows == 0 or metadata.num_row_groups != 1 else 1
    codecs = {metadata.row_group(group).column(0).compression for group in range(metadata.num_row_groups)}
    return (groups, codecs), metadata.format_version, described


def _count(outcome: Outcome, table: pa.Table) -> None:
    outcome.rows += table.num_rows
    for name in table.column_names:
        values = outcome.values.setdefault(name, set())
        if len(values) < DISTINCT_LIMIT:
            values.update(table[name].to_pylist())


def _replace_table(path: Path, table: str) -> None:
    """Replace the table in a document."""
    before, _, rest = path.read_text(encoding="utf-8").partition("| dataset | files |")
    after = rest.partition("\n\n")[2]
    path.write_text(f"{before}{table}\n{after}", encoding="utf-8")


def _document(outcomes: list[Outcome]) -> str:
    """Render the table for the docs, with rows and distinct values per column of real Cryo's files."""
    lines = [
        "| dataset | files | rows | compared as | result | distinct values by column |",
        "|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        order = "multisets" if outcome.dataset in UNORDERED else "rows in order"
        result = "equal" if not outcome.differences else "; ".join(outcome.differences)
        result += (
            ""
            if outcome.has_enough_data
            else f" (too little data: {outcome.constant_but_not_in_golden() or 'too few rows'})"
        )
        distinct = ", ".join(
            f"{name} {min(len(values), DISTINCT_LIMIT)}{'+' if len(values) >= DISTINCT_LIMIT else ''}"
            for name, values in outcome.values.items()
        )
        lines.append(f"| {outcome.dataset} | {outcome.files} | {outcome.rows:,} | {order} | {result} | {distinct} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
