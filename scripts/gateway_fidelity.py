"""`scripts/fidelity.py --gateway`: compare the files of real Cryo alone with those that it writes through the gateway.

Every file must have the same bytes. Files of `UNORDERED` datasets must have the same rows, since two runs of Cryo alone
differ too. The first endpoint serves all chains and ranges of `fidelity.py`, the odd ones a chain and two ranges.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from harness.fakes.rpc import HttpOptions, Node, RpcPool
from harness.faults.rpc import BatchLimit
from harness.world.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.faults import RpcFault

BIN = Path(sys.executable).parent
IN_FLIGHT = "1000"
"""How many calls Cryo keeps in flight when it reads through the gateway, as in the worker."""
LOG_RANGE = "100"
RANGED = frozenset(("logs", "erc20_transfers", "erc721_transfers"))
"""Datasets for which the worker lets Cryo ask for several blocks in one call."""

OF_ODD_ENDPOINTS = frozenset(("chunk boundary", "empty blocks"))

Ranges = dict[str, tuple[str, int]]
"""By name: the blocks and the chunk size."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: how it speaks HTTP, and what it rejects."""

    name: str
    http: HttpOptions = field(default_factory=lambda: HttpOptions(gzip=True))
    faults: tuple[RpcFault, ...] = ()

    @contextmanager
    def serve(self, chain: Chain) -> Iterator[RpcPool]:
        """Serve a chain."""
        with RpcPool(Node(chain, http=self.http), self.faults, keep_journal=False) as pool:
            yield pool


ENDPOINTS = (
    Endpoint("batches, gzip"),
    Endpoint("no batches", faults=(BatchLimit(0, "object", 400, message="batches are not supported"),)),
    Endpoint("batches of at most 3 calls", faults=(BatchLimit(3, "each", message="batch too large"),)),
    Endpoint("no gzip", HttpOptions()),
    Endpoint("HTTP/1.0, a connection for each request", HttpOptions(keep_alive=False)),
    Endpoint("connections closed after 7 requests", HttpOptions(gzip=True, requests_a_connection=7)),
)


@dataclass(slots=True)
class Comparison:
    """What was compared of one dataset on one endpoint; `largest` is the number of calls in the largest batch."""

    files: int = 0
    largest: int = 0
    differences: list[str] = field(default_factory=list)


def compare(datasets: Sequence[str], chains: Sequence[Chain], ranges: Ranges, unordered: Mapping[str, str]) -> int:
    """Compare all datasets on all endpoints, print the table, and return the exit code."""
    lines = ["| dataset | compared as | " + " | ".join(endpoint.name for endpoint in ENDPOINTS) + " |"]
    lines.append(f"|{'---|' * (2 + len(ENDPOINTS))}")
    failed = False
    for dataset in datasets:
        any_order = dataset in unordered
        found = _compare_dataset(dataset, chains, ranges, any_order=any_order)
        results = ["; ".join(one.differences[:3]) or f"{one.files} files equal" for one in found]
        for endpoint, one, result in zip(ENDPOINTS, found, results, strict=True):
            sys.stderr.write(f"{dataset}, {endpoint.name}: {result}, at most {one.largest} calls in a batch\n")
        failed = failed or any(one.differences or not one.files for one in found)
        lines.append(f"| {' | '.join([dataset, 'rows in any order' if any_order else 'bytes', *results])} |")
    print("\n".join(lines))
    return 1 if failed else 0


def _compare_dataset(
    dataset: str, chains: Sequence[Chain], ranges: Ranges, *, any_order: bool
) -> tuple[Comparison, ...]:
    """Compare one dataset on every endpoint."""
    found = tuple(Comparison() for _ in ENDPOINTS)
    for chain in chains:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with Endpoint("alone").serve(chain) as pool:
                alone = {where: _run(dataset, *of, folder / _name(where), pool.url) for where, of in ranges.items()}
            for index, (endpoint, comparison) in enumerate(zip(ENDPOINTS, found, strict=True)):
                if index and chain is not chains[0]:
                    continue
                wanted = {where: of for where, of in ranges.items() if index == 0 or where in OF_ODD_ENDPOINTS}
                own = folder / f"endpoint-{index}"
                own.mkdir()
                with endpoint.serve(chain) as pool, gateway(pool.url) as url:
                    more = ["--max-concurrent-requests", IN_FLIGHT]
                    more += ["--inner-request-size", LOG_RANGE] if dataset in RANGED else []
                    for where, of in wanted.items():
                        through = _run(dataset, *of, own / _name(where), url, *more)
                        _compare_files(comparison, where, alone[where], through, any_order=any_order)
                    comparison.largest = max(comparison.largest, pool.counts.largest)
    return found


def _name(where: str) -> str:
    """Return the name of a folder; the wheel's Cryo takes no white space in it."""
    return where.replace(" ", "-")


@contextmanager
def gateway(url: str) -> Iterator[str]:
    """Run `cryo-ingest gateway` for one endpoint, and yield its URL."""
    environment = os.environ | {"TRACE_RPC_POOL_FIDELITY_URL": url, "TRACE_CRYO_CONFIRMATIONS": "0"}
    command: list[str | Path] = [BIN / "cryo-ingest", "gateway", "--pool", "fidelity"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdout is None:
            raise RuntimeError
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.stdout.read()


def _run(dataset: str, blocks: str, chunk: int, folder: Path, url: str, *more: str) -> dict[str, Path]:
    folder.mkdir()
    words = [dataset, "--blocks", blocks, "--chunk-size", str(chunk), "--no-verbose", "--no-report", *more]
    command: list[str | Path] = [BIN / "cryo-from-wheel", *words, "--output-dir", folder]
    subprocess.run(command, env=os.environ | {"ETH_RPC_URL": url}, check=False, stdout=subprocess.DEVNULL)
    return {path.name: path for path in folder.glob("*.parquet")}


def _compare_files(
    found: Comparison, where: str, alone: dict[str, Path], through: dict[str, Path], *, any_order: bool
) -> None:
    if sorted(alone) != sorted(through) or not alone:
        found.differences.append(f"{where}: files {sorted(alone)} and {sorted(through)}")
        return
    found.files += len(through)
    for name, path in alone.items():
        same_bytes = path.read_bytes() == through[name].read_bytes()
        if not same_bytes and not (any_order and _same_rows(pq.read_table(path), pq.read_table(through[name]))):
            found.differences.append(f"{where}, {name}: differs")


def _same_rows(one: pa.Table, other: pa.Table) -> bool:
    def rows(table: pa.Table) -> list[str]:
        return sorted(map(repr, zip(*(column.to_pylist() for column in table.columns), strict=True)))

    return one.schema == other.schema and rows(one) == rows(other)
