"""Parquet is untrusted input: any file passes or raises one of the worker's own errors, within bounded memory."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forged_parquet import (
    BINARY,
    DELTA_BYTE_ARRAY,
    GZIP,
    I32,
    I64,
    LIST,
    RLE_DICTIONARY,
    STRUCT,
    Column,
    Forged,
    Page,
    forge,
    listed,
    number,
    one_value,
    struct,
    text,
    varint,
)
from support.proving import JumpingClock, task_of

from cryo_ingest.audit.locations import location_of
from cryo_ingest.audit.verify import verify
from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import ProofFailed, UnexpectedSchema
from cryo_ingest.layout import Chunk
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.prove.compact import Malformed, Walker
from cryo_ingest.prove.footer import read_footer
from cryo_ingest.prove.multiset import equal_rows
from cryo_ingest.prove.rows import RowsProver
from cryo_ingest.prove.summarize import summarize
from cryo_ingest.publish.prefix import VersionPrefix
from cryo_ingest.publish.version import Version
from harness.stores.memory import MemoryStore

GOLDEN = Path(__file__).resolve().parents[3] / "fixtures" / "golden"
GIGA = 1 << 30
ROWS = 100_000
ALLOWANCE_BYTES = 640 * 1024**2
"""Memory that a proof may allocate: twice the largest slice of byte strings, and a reserve."""

HUGE_PAGE = Column([Page(b"\0" * 40, 10, size=2**31 - 1)])


def nested_schema(depth: int) -> Callable[[bytes], bytes]:
    """Return a function that replaces a footer by one with nested groups in its schema."""
    group = struct((3, I32, number(0)), (4, BINARY, text(b"g")), (5, I32, number(1)))
    leaf = struct((1, I32, number(1)), (3, I32, number(0)), (4, BINARY, text(b"l")))
    elements = listed(STRUCT, [group] * depth + [leaf])
    footer = struct((1, I32, number(2)), (2, LIST, elements), (3, I64, number(0)), (4, LIST, listed(STRUCT, [])))
    return lambda _: footer


BOMBS: dict[str, tuple[str, Forged, str]] = {
    "rows of billions, consistent": ("nonce_diffs", Forged(2_000_000_000), "claims 2000000000 rows"),
    "rows of billions, for a summary": ("logs", Forged(20_000_000), "claims 20000000 rows"),
    "rows in the footer alone": ("nonce_diffs", Forged(10, claimed_rows=4 * GIGA), "contradictory numbers of rows"),
    "a negative number of rows": ("nonce_diffs", Forged(10, claimed_rows=-1), "contradictory numbers of rows"),
    "row groups that do not exist": ("nonce_diffs", Forged(10, claimed_groups=900_000), "a list claims 900000"),
    "many row groups": ("nonce_diffs", Forged(0, groups=3_500), "more parts"),
    "a nested schema": ("nonce_diffs", Forged(0, change_footer=nested_schema(50_000)), "schema claims 50001"),
    "columns without metadata": ("nonce_diffs", Forged(10, column_metadata=False), "has 0 values for 10 rows"),
    "values that do not exist": (
        "nonce_diffs",
        Forged(10, {"block_number": Column([Page(b"\0" * 40, 10)], values=GIGA)}),
        "1073741824 values for 10 rows",
    ),
    "a page's values": (
        "nonce_diffs",
        Forged(10, {"block_number": Column([Page(b"\0" * 40, GIGA)])}),
        "hold 1073741824 values for 10",
    ),
    "a page's size": ("nonce_diffs", Forged(10, {"block_number": HUGE_PAGE}), "would decompress to 2147483647"),
    "a string page's size": ("nonce_diffs", Forged(10, {"address": HUGE_PAGE}), "would decompress to 2147483647"),
    "a decompression bomb": (
        "nonce_diffs",
        Forged(10, {"from_value": Column([Page(gzip.compress(bytes(1 << 24)), 10, size=1 << 24)], codec=GZIP)}),
        "would decompress to 16777216",
    ),
    "a dictionary's values": (
        "nonce_diffs",
        Forged(10, {"address": Column([Page(bytes(4), GIGA, dictionary=True), Page(b"\1\x14\0", 10, RLE_DICTIONARY)])}),
        "a dictionary claims 1073741824 values in 4 bytes",
    ),
    "an encoding of prefixes": (
        "nonce_diffs",
        Forged(10, {"address": Column([Page(b"\0" * 40, 10, DELTA_BYTE_ARRAY)])}),
        "a kind that Cryo does not write",
    ),
    "a long value in every row": (
        "logs",
        Forged(ROWS, {"data": one_value((1 << 22).to_bytes(4, "little") + bytes(1 << 22), ROWS)}),
        "1024 of its rows hold 4294967296 bytes",
    ),
    "a long hash in every row": (
        "traces",
        Forged(1000, {"transaction_hash": one_value((1 << 12).to_bytes(4, "little") + bytes(1 << 12), 1000)}),
        "transaction hash is not 32 bytes",
    ),
}

CHILD = """
import asyncio, json, os, resource, sys
from pathlib import Path
from types import SimpleNamespace
from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import IngestError
from cryo_ingest.layout import Chunk
from cryo_ingest.prove.summarize import summarize
from cryo_ingest.prove.multiset import equal_rows
from cryo_ingest.prove.file_rows import prove_rows

now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[1]), now + int(sys.argv[1])))
messages = {}
for name, dataset, path in json.load(sys.stdin):
    path, chunk = Path(path), Chunk(0, 1000, "f.parquet")
    try:
        prove_rows(path, chunk, dataset=all_datasets()[dataset], chain_id=0, executable="x")
        if name == "a long value in every row":
            assert not equal_rows(path, path), "they were held in memory"
        summarize(path, chunk, dataset=dataset, digest="any")
    except IngestError as error:
        messages[name] = f"{type(error).__name__}: {error}"
json.dump(messages, sys.stdout)
"""


def test_rng_4_bombs_fail_within_bounded_memory(tmp_path: Path):
    """RNG-4: huge counts, nested schemas and decompression bombs fail the proof within bounded memory."""
    files = []
    for index, (name, (dataset, forged, _)) in enumerate(BOMBS.items()):
        files.append((name, dataset, str(forge(tmp_path / f"{index}.parquet", dataset, forged))))
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(ALLOWANCE_BYTES)],
        input=json.dumps(files),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    messages = json.loads(result.stdout)
    for name, (_, _, words) in BOMBS.items():
        assert messages[name].startswith("ProofFailed: "), name
        assert words in messages[name], name


def bomb_store(tmp_path: Path) -> tuple[MemoryStore, Version, Chunk]:
    """Return a store with a published version whose only file is a bomb."""
    task = task_of("nonce_diffs", 0, 1000)
    version = Version.from_task(task, mode="real")
    (chunk,) = version.chunks
    bomb = forge(tmp_path / "bomb.parquet", "nonce_diffs", Forged(2_000_000_000))
    store = MemoryStore(AlreadyStored, Changed)
    asyncio.run(store.create(version.key(chunk), bomb.read_bytes(), metadata={}))
    asyncio.run(store.create(version.manifest_key, version.manifest.to_bytes(), metadata={}))
    return store, version, chunk


def test_lay_10_a_stored_bomb_is_a_broken_object(tmp_path: Path):
    """LAY-10: stored objects are proved as Cryo's files are; a bomb fails, so it is not kept."""
    store, version, chunk = bomb_store(tmp_path)
    prover = prover_of("nonce_diffs")
    prefix = VersionPrefix(store, version, prover, tmp_path, JumpingClock(), Random(1))
    assert not asyncio.run(prefix.use_existing_version())
    stored = asyncio.run(store.list(version.prefix))[version.key(chunk)]
    assert asyncio.run(prefix.prove_object(chunk, stored)) is None


def test_verify_reports_a_bomb(tmp_path: Path):
    """`verify` uses the same proof and reports the number that the footer claims."""
    store, version, _ = bomb_store(tmp_path)
    location = location_of(version.prefix)
    assert location is not None
    found = asyncio.run(verify(store, location, make_prover=lambda _: prover_of("nonce_diffs"), scratch=tmp_path))
    (finding,) = found.findings
    assert "claims 2000000000 rows" in finding.problem


def prover_of(name: str) -> RowsProver:
    """Return a dataset's prover by rows."""
    return RowsProver(task_of(name, 0, 1000), all_datasets()[name], executable="x")


def outcome_of(name: str, path: Path, content: bytes) -> str:
    """Prove a file, summarize it and compare it with itself; return the error's name, if there is one."""
    path.write_bytes(content)
    chunk = Chunk(0, 1000, path.name)
    try:
        prover = RowsProver(task_of(name, 0, 1000, chain_id=31337), all_datasets()[name], executable="x")
        asyncio.run(prover.prove_rows(path, chunk))
        summarize(path, chunk, dataset=name, digest="any")
        equal_rows(path, path)
    except (ProofFailed, UnexpectedSchema) as error:
        return type(error).__name__
    return "read"


SPLICED = ("blocks", "logs", "traces", "transactions")


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    name=st.sampled_from(SPLICED),
    position=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 12),
    patch=st.one_of(st.binary(max_size=12), st.integers(0, 2**63).map(varint)),
    in_footer=st.booleans(),
)
def test_rng_4_replaced_bytes_raise_only_our_own_errors(
    tmp_path_factory: pytest.TempPathFactory, *, name: str, position: float, length: int, patch: bytes, in_footer: bool
):
    """RNG-4: bytes are replaced anywhere in pages, headers or footer, and the footer's length is corrected."""
    original = (GOLDEN / name / "full.parquet").read_bytes()
    footer_bytes = int.from_bytes(original[-8:-4], "little")
    footer_start = len(original) - 8 - footer_bytes
    start, end = (footer_start, len(original) - 8) if in_footer else (0, footer_start)
    cut = start + int(position * (end - start))
    stop = min(cut + length, end)
    new_footer_bytes = footer_bytes + (len(patch) - (stop - cut) if in_footer else 0)
    content = original[:cut] + patch + original[stop:-8] + new_footer_bytes.to_bytes(4, "little") + b"PAR1"
    outcome_of(name, tmp_path_factory.getbasetemp() / "spliced.parquet", content)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_rng_4_any_footer_bytes_are_skipped_or_malformed(footer: bytes):
    """RNG-4: the walker skips any bytes in place of a footer, or raises Malformed."""
    walker = Walker(footer, 0, end=len(footer), budget=1000)
    try:
        for _, kind in walker.fields():
            walker.skip(kind)
    except Malformed:
        pass
    assert walker.position <= len(footer)
    assert read_footer(footer + len(footer).to_bytes(4, "little") + b"PAR1") is None or footer
