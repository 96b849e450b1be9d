"""`make fidelity`: real Cryo over the fake pool against `fake-cryo` and the goldens, for all 25 range datasets.

Prints the table of docs/fidelity.md; exits 1 when anything is not equal that is not listed as a known difference, or
when a dataset is not shown: under 100 rows outside the empty range, or a column constant here that varies in its
golden. `--datasets NAME…` narrows it, `--write FILE` replaces the table in a Markdown file.
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
    "geth_balance_diffs": "Cryo walks a hash set of accounts: the order within a transaction is chance",
    "geth_code_diffs": "as above",
    "geth_nonce_diffs": "as above",
    "geth_storage_diffs": "as above, and one of slots",
}
"""Datasets whose rows are compared as multisets, and why; Cryo's sort (block, transaction) does not determine them."""

FEWEST_ROWS = 100
DISTINCT_LIMIT = 1000


@dataclass
class Outcome:
    """What was seen of one dataset over all chains and ranges."""

    dataset: str
    files: int = 0
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    values: dict[str, set[Any]] = field(default_factory=dict)

    def constant_but_not_in_golden(self) -> list[str]:
        """Name the columns that have one value here and several in the golden file."""
        golden = pq.read_table(fixtures() / "golden" / self.dataset / "full.parquet")
        return [
            name
            for name in golden.column_names
            if len(self.values.get(name, ())) <= 1 < len(set(golden[name].to_pylist()))
        ]

    @property
    def shown(self) -> bool:
        """Whether there was enough to call it shown."""
        return self.rows >= FEWEST_ROWS and not self.constant_but_not_in_golden()


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(description="Hold fake Cryo against the real one.")
    parser.add_argument("--datasets", nargs="*", default=by_range_alone())
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    if chosen.write is not None and not chosen.write.is_file():
        parser.error(f"--write {chosen.write}: must be a document that has the table already, such as docs/fidelity.md")
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
    failed = [each.dataset for each in outcomes if each.differences or not each.shown]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} datasets are shown equal")
    return 1 if failed else 0


def _compare(outcome: Outcome, name: str, arguments: list[str], url: str) -> None:
    """Run both over one range and hold their files against each other."""
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
                _note(outcome, theirs)


def _run(program: str, dataset: str, arguments: list[str], folder: Path, url: str) -> dict[str, Path]:
    folder.mkdir()
    command = [BIN / program, dataset, *arguments, "--output-dir", folder, "--no-verbose"]
    subprocess.run(command, env=os.environ | {"ETH_RPC_URL": url}, check=False, stdout=subprocess.DEVNULL)
    return {path.name: path for path in folder.glob("*.parquet")}


def _difference(dataset: str, real: pa.Table, fake: pa.Table) -> str | None:
    """Return the first difference between two tables in words, or None."""
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
    """Compare what the footers say of the files' form: with each other, and with the golden file."""
    forms = [_footer(path) for path in (real, fake, fixtures() / "golden" / dataset / "full.parquet")]
    if forms[0] != forms[1]:
        return f"footers differ: {forms[0]} and {forms[1]}"
    return None if forms[0][1:] == forms[2][1:] else "another form than the golden file's"


def _footer(path: Path) -> tuple[Any, ...]:
    """Return row groups, format version, and of each column: name, types, levels."""
    metadata = pq.read_metadata(path)
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    described = [
        (each.name, each.physical_type, each.logical_type.to_json(), each.max_definition_level) for each in columns
    ]
    groups = metadata.num_row_groups if metadata.num_rows == 0 or metadata.num_row_groups != 1 else 1
    codecs = {metadata.row_group(group).column(0).compression for group in range(metadata.num_row_groups)}
    return (groups, codecs), metadata.format_version, described


def _note(outcome: Outcome, table: pa.Table) -> None:
    outcome.rows += table.num_rows
    for name in table.column_names:
        seen = outcome.values.setdefault(name, set())
        if len(seen) < DISTINCT_LIMIT:
            seen.update(table[name].to_pylist())


def _replace_table(path: Path, table: str) -> None:
    """Put the table in the place of the one that a document has."""
    before, _, rest = path.read_text(encoding="utf-8").partition("| dataset | files |")
    after = rest.partition("\n\n")[2]
    path.write_text(f"{before}{table}\n{after}", encoding="utf-8")


def _document(outcomes: list[Outcome]) -> str:
    """Render the table for the docs: rows, and distinct values of each column, of real Cryo's files."""
    lines = [
        "| dataset | files | rows | compared as | result | distinct values by column |",
        "|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        order = "multisets" if each.dataset in UNORDERED else "rows in order"
        result = "equal" if not each.differences else "; ".join(each.differences)
        result += "" if each.shown else f" (not shown: {each.constant_but_not_in_golden() or 'too few rows'})"
        distinct = ", ".join(
            f"{name} {min(len(values), DISTINCT_LIMIT)}{'+' if len(values) >= DISTINCT_LIMIT else ''}"
            for name, values in each.values.items()
        )
        lines.append(f"| {each.dataset} | {each.files} | {each.rows:,} | {order} | {result} | {distinct} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
