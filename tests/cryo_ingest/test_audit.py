"""`verify` and `gaps` find all added defects and nothing else."""

import asyncio
import json
import random
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.audited import add_defects, check_coverage_of, differences, make_store, verify_store
from support.proving import task_of
from support.worker import BIN, CHAIN_ID, PAYLOAD, Target, Worker, bucket_target, prefix_of, real_mode

from cryo_ingest import layout
from cryo_ingest.audit.commands import tasks_for, without_attempt
from cryo_ingest.audit.gaps import check_coverage
from cryo_ingest.audit.locations import BadReference, read_dataset_reference, read_reference
from cryo_ingest.errors import ModeMismatch, NodeUnavailable, RpcPoolUnresolved, WrongChain
from cryo_ingest.ports import StoredObject
from cryo_ingest.publish.directory_metadata import FOLDER
from harness.fakes.rpc import Node, RpcPool
from harness.stores.bucket import Bucket
from harness.world.chain import Chain

RANGES = 10_000
WIDTH = 1000


def listing(ranges: int) -> dict[str, int]:
    """Return keys and sizes of a number of published ranges of a dataset."""
    sizes = {}
    for start in range(0, ranges * WIDTH, WIDTH):
        task = task_of("logs", start, start + WIDTH)
        sizes[layout.prefix(task) + layout.MANIFEST_NAME] = 300
        sizes |= {layout.prefix(task) + chunk.name: 5000 for chunk in layout.chunks(task)}
    return sizes


def keys_at(sizes: dict[str, int], start: int) -> tuple[str, str]:
    """Return the keys of a range's manifest and file."""
    found = sorted(key for key in sizes if f"/{start}_{start + WIDTH}/" in key)
    return found[0], found[1]


def test_gaps_finds_exactly_ten_defects_in_10000_ranges():
    """Issue 9, 5: a listing is enough; missing blocks are returned as tasks of the usual size."""
    sizes = listing(RANGES)
    starts = [number * WIDTH for number in random.Random(9).sample(range(1, RANGES - 2), 9)]
    for start in starts[:2]:  # no version
        for key in keys_at(sizes, start):
            del sizes[key]
    del sizes[keys_at(sizes, starts[2])[0]]  # no manifest
    del sizes[keys_at(sizes, starts[3])[1]]  # no file
    sizes[keys_at(sizes, starts[4])[1]] = 0  # an empty file
    for start in starts[5:7]:  # a second version
        for key in keys_at(sizes, start):
            other = key.split("/")
            sizes["/".join([*other[:4], str(uuid.UUID(int=start)), other[5]])] = sizes[key]
    wide = task_of("logs", starts[7], starts[7] + WIDTH + 500)
    sizes[layout.prefix(wide) + layout.MANIFEST_NAME] = 300
    sizes |= {layout.prefix(wide) + chunk.name: 5000 for chunk in layout.chunks(wide)}
    sizes[keys_at(sizes, starts[8])[0].rpartition("/")[0] + "/growing._tmp"] = 7
    sizes["cryo/1/notes.txt"] = 7
    stored = [StoredObject(key, size, '"x"') for key, size in sizes.items()]
    coverage = check_coverage(stored, start=0, end=RANGES * WIDTH)
    kinds = {kind: sorted(finding.start for finding in coverage.findings if finding.kind == kind) for kind in KINDS}
    assert kinds["unpublished"] == [starts[2]]
    assert kinds["incomplete"] == sorted(starts[3:5])
    assert kinds["duplicate"] == sorted(starts[5:7])
    assert set(kinds["overlapping"]) == {starts[7], starts[7] + WIDTH}
    assert kinds["stray"] == sorted([0, starts[8]])
    wanted = sorted(starts[:5])
    missing = coverage.missing()
    assert missing == [(start, start + WIDTH) for start in wanted]
    prefix = f"cryo/1/{task_of('logs', 0, 1).dataset_uuid}/"
    assert [task["range_start"] for task in tasks_for(coverage, prefix)] == wanted


KINDS = ("missing", "unpublished", "incomplete", "duplicate", "overlapping", "stray")


def test_verify_and_gaps_find_exactly_ten_defects_in_a_store(tmp_path: Path):
    """Issue 9, 5, with 300 ranges; `scripts/audit_scale.py` has 10,000."""
    store = make_store(300, tmp_path)
    starts = add_defects(store, 300, seed=9)
    assert len(starts) == 10
    assert differences(starts, check_coverage_of(store, 300), asyncio.run(verify_store(store))) == []


def test_gaps_of_an_empty_dataset_is_the_complete_range():
    """A dataset without versions is missing completely."""
    coverage = check_coverage([], start=5, end=2005)
    assert [(finding.kind, finding.start, finding.end) for finding in coverage.findings] == [("missing", 5, 2005)]
    assert coverage.missing() == [(5, 1005), (1005, 2005)]


@pytest.mark.parametrize(
    "text",
    ["", "s3://bucket", "s3://bucket/cryo/1/x/", "/cryo/1/", "{}", '{"storage_ref": 1}', "[" * 10_000, "{" * 100_000],
)
def test_an_invalid_reference_is_a_usage_error(text: str):
    """It raises BadReference, never another exception."""
    with pytest.raises(BadReference):
        read_reference(text)
    with pytest.raises(BadReference):
        read_dataset_reference(text)


def cryo_ingest(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the worker."""
    return subprocess.run([BIN / "cryo-ingest", *words], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A worker."""
    return Worker(tmp_path)


def test_verify_finds_no_problem_in_a_new_version(worker: Worker, moto_bucket: Bucket):
    """Exit code 0: a publication is a valid reference, and the node confirms the rows."""
    target = bucket_target(moto_bucket)
    with RpcPool(Node(Chain(CHAIN_ID), head=1_000_000)) as pool:
        mode = real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"}
        payload = PAYLOAD | {"cryo_dataset_name": "logs"}
        published = worker.run(target, payload, **mode)
        assert published.returncode == 0, published.stderr
        environment = worker.variables(target, mode)
        url = f"s3://{moto_bucket.name}/{prefix_of(payload)}"
        result = cryo_ingest(["verify", url, published.stdout, "--against", "local", "--json"], environment)
        assert result.returncode == 0, result.stdout + result.stderr
        (by_url, by_publication) = json.loads(result.stdout)
        assert by_url == by_publication
        assert (by_url["files"], by_url["evidence"], by_url["findings"]) == (3, "chain", [])
        calls = len(pool.journal)
        assert cryo_ingest(["verify", url], environment).returncode == 0
        assert len(pool.journal) == calls
        dataset = f"s3://{moto_bucket.name}/cryo/{CHAIN_ID}/{PAYLOAD['dataset_uuid']}/"
        found = cryo_ingest(["gaps", dataset, "--from", "0", "--to", "3000"], environment)
    assert found.returncode == 1
    assert [json.loads(line)["range_start"] for line in found.stdout.splitlines()] == [0, 2700]


def rewritten(**fields: Any) -> Callable[[Path, list[Path]], object]:
    """Return a function that changes fields of a manifest."""

    def rewrite(manifest: Path, _: list[Path]) -> None:
        content = json.loads(manifest.read_text()) | fields
        manifest.write_text(json.dumps(content, separators=(",", ":")) + "\n")

    return rewrite


def without_a_key(manifest: Path, _: list[Path]) -> None:
    content = json.loads(manifest.read_text())
    rewritten(parquet_keys=content["parquet_keys"][1:])(manifest, [])


DEFECTS: dict[str, tuple[str, Callable[[Path, list[Path]], object]]] = {
    "no manifest": ("_manifest.json", lambda manifest, _: manifest.unlink()),
    "another form": ("_manifest.json", lambda manifest, _: manifest.write_text(manifest.read_text() + " ")),
    "a missing key": ("00000500_to_00001499.parquet", without_a_key),
    "an additional field": ("_manifest.json", rewritten(more=1)),
    "a missing file": ("00001500_to_00002499.parquet", lambda _, files: files[1].unlink()),
    "an additional file": ("extra.parquet", lambda manifest, _: (manifest.parent / "extra.parquet").write_bytes(b"x")),
    "truncated": ("00000500_to_00001499.parquet", lambda _, files: files[0].write_bytes(files[0].read_bytes()[:-100])),
    "exchanged": ("00000500_to_00001499.parquet", lambda _, files: files[0].write_bytes(files[1].read_bytes())),
    "empty": ("00002500_to_00002699.parquet", lambda _, files: files[2].write_bytes(b"")),
    "another dataset": ("/", lambda _, files: files[0].rename(str(files[0]).replace("__blocks", "__logs"))),
}


def test_verify_finds_each_of_ten_defects_and_names_its_key(worker: Worker, tmp_path: Path):
    """Exit code 1: only the changed key has a finding."""
    target = Target(f"file://{tmp_path}/out", {}, directory=tmp_path / "out")
    assert worker.run(target).returncode == 0
    references = [f"file://{tmp_path}/out/{prefix_of(PAYLOAD)}"]
    for number, (_, change) in enumerate(DEFECTS.values()):
        shutil.copytree(tmp_path / "out", tmp_path / str(number))
        folder = tmp_path / str(number) / prefix_of(PAYLOAD)
        change(folder / "_manifest.json", sorted(folder.glob("*.parquet")))
        references.append(f"file://{folder}/")
    result = cryo_ingest(["verify", *references, "--json"], worker.variables(target, {}))
    assert result.returncode == 1, result.stderr
    good, *bad = json.loads(result.stdout)
    assert good["findings"] == []
    for (defect, (where, _)), verified in zip(DEFECTS.items(), bad, strict=True):
        keys = {finding["key"] for finding in verified["findings"]}
        assert keys, defect
        assert all(key.endswith(where) for key in keys), (defect, keys)


LOGS = PAYLOAD | {"cryo_dataset_name": "logs", "range_end": 1500}
FLIPS = 12


def flip_a_byte(path: Path, place: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_lay_8_verify_finds_any_flipped_byte_of_a_directory(worker: Worker, tmp_path: Path):
    """LAY-8: the rows alone don't show a flipped byte in a log's data; the recorded checksum does."""
    target = Target(f"file://{tmp_path}/out", {}, directory=tmp_path / "out")
    assert worker.run(target, LOGS).returncode == 0
    references = []
    for number in range(FLIPS):
        shutil.copytree(tmp_path / "out", tmp_path / str(number))
        (file,) = (tmp_path / str(number) / prefix_of(LOGS)).glob("*.parquet")
        flip_a_byte(file, file.stat().st_size * (2 * number + 1) // (3 * FLIPS))
        references.append(f"file://{file.parent}/")
    result = cryo_ingest(["verify", *references], worker.variables(target, {}))
    assert result.returncode == 1, result.stdout + result.stderr
    versions = result.stdout.splitlines()[1 : FLIPS + 1]
    assert [line.rpartition("\t")[2] for line in versions] == ["1"] * FLIPS
    assert "published: its SHA-256 is " in result.stdout
    assert "Nothing was published" not in result.stdout


def test_lay_10_a_rerun_replaces_a_rotten_file_of_a_directory(worker: Worker, tmp_path: Path):
    """LAY-10: data that differ from their checksum are not adopted; Cryo runs again, and the file is replaced."""
    target = Target(f"file://{tmp_path}/out", {}, directory=tmp_path / "out")
    assert worker.run(target, LOGS).returncode == 0
    (file,) = (tmp_path / "out" / prefix_of(LOGS)).glob("*.parquet")
    original = file.read_bytes()
    flip_a_byte(file, len(original) // 2)
    assert worker.run(target, LOGS).returncode == 0
    assert file.read_bytes() == original
    result = cryo_ingest(["verify", f"file://{file.parent}/"], worker.variables(target, {}))
    assert "\t1 of 1\t0" in result.stdout


def test_verify_says_how_many_checksums_it_compared(worker: Worker, tmp_path: Path):
    """Files that were copied without their checksums are verified by their rows, and the output says so."""
    target = Target(f"file://{tmp_path}/out", {}, directory=tmp_path / "out")
    assert worker.run(target).returncode == 0
    shutil.rmtree(tmp_path / "out" / FOLDER)
    result = cryo_ingest(["verify", f"file://{tmp_path}/out/{prefix_of(PAYLOAD)}"], worker.variables(target, {}))
    assert result.returncode == 0
    assert "\t0 of 3\t0" in result.stdout


def test_verify_reads_what_run_printed(worker: Worker, tmp_path: Path):
    """The output of `run` is a reference: from a file, and from standard input, also for a directory with a space."""
    target = Target(f"file://{tmp_path}/a%20store", {}, directory=tmp_path / "a store")
    (tmp_path / "published.jsonl").write_text(worker.run(target).stdout)
    environment = worker.variables(target, {})
    found = cryo_ingest(["verify", f"{tmp_path}/published.jsonl"], environment)
    assert found.returncode == 0, found.stderr
    assert "\t3 of 3\t0" in found.stdout
    with (tmp_path / "published.jsonl").open() as lines:
        command = [BIN / "cryo-ingest", "verify", "-"]
        assert subprocess.run(command, env=environment, stdin=lines, check=False).returncode == 0
    missing = cryo_ingest(["verify", "no-such-file"], environment)
    assert missing.returncode == 64
    assert "no-such-file can't be read" in missing.stderr


def test_a_message_of_verify_says_nothing_about_an_attempt():
    """What is verified is published already, and Cryo is never started."""
    errors = [
        WrongChain(endpoint_name="endpoint 1 of 1", expected=1, actual=2),
        NodeUnavailable(endpoint_name="endpoint 1 of 1", method="eth_chainId", reason="HTTP 500"),
        RpcPoolUnresolved(pool_variable="A", default_variable="B"),
        ModeMismatch(name="a", found="fake", mode="real"),
    ]
    for error in errors:
        assert not re.search("Nothing was|Cryo was", without_attempt(str(error))), error


def test_pub_1_an_inconsistent_publication_is_an_invalid_reference():
    """PUB-1, PUB-2: its fields and its storage_ref must name the same version."""
    task = task_of("logs", 0, 1000)
    publication = {
        "dataset_uuid": task.dataset_uuid,
        "dataset_version": layout.dataset_version(task),
        "storage_ref": {"scheme": "s3", "bucket": "b", "prefix": layout.prefix(task), "glob": "*.parquet"},
        "config_hash": "h",
        "range_start": 0,
        "range_end": 1000,
    }
    url, location = read_reference(json.dumps(publication))
    assert (url, location.config_hash, location.prefix) == ("s3://b", "h", layout.prefix(task))
    assert replace(location, config_hash=None) == read_reference(f"s3://b/{layout.prefix(task)}")[1]
    with pytest.raises(BadReference, match="different versions"):
        read_reference(json.dumps(publication | {"range_end": 2000}))
