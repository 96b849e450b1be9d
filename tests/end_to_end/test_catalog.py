"""`catalog` on real data: DuckDB and Polars read each published block once, from files and (Polars) from S3."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from support.worker import BIN, PAYLOAD, Target, Worker

LOGS = PAYLOAD | {"cryo_dataset_name": "logs", "dataset_uuid": "0b9e5a54-33f6-4a86-b0a5-3c1f0d6e8a21"}
RANGES = [(0, 300, "h1"), (300, 600, "h1"), (200, 500, "h1"), (0, 300, "h2"), (700, 800, "h1")]
"""An overlap, the same range in two versions, and a hole."""


def catalog(target: Target, *words: str, below: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]} | target.environment
    command = [BIN / "cryo-ingest", "catalog", target.url + below, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def published(request: pytest.FixtureRequest, worker: Worker) -> Target:
    """A store with logs in all ranges, blocks in the first, and files without a manifest."""
    target: Target = request.getfixturevalue(request.param)
    for start, end, config_hash in RANGES:
        payload = LOGS | {"range_start": start, "range_end": end, "config_hash": config_hash}
        assert worker.run(target, payload).returncode == 0
    assert worker.run(target, PAYLOAD | {"range_start": 0, "range_end": 300}).returncode == 0
    return target


both = pytest.mark.parametrize("published", ["file_target", "moto_target"], indirect=True)
on_files = pytest.mark.parametrize("published", ["file_target"], indirect=True)

EXPECTED = [("logs", 0, 300), ("logs", 0, 300), ("logs", 200, 500), ("logs", 300, 600), ("logs", 700, 800)]


def polars(script: str, folder: Path, environment: dict[str, str], query: str) -> int:
    """Run a query on the module that `catalog` printed, in a process with the store's keys."""
    (folder / "views.py").write_text(script)
    code = f"from views import views; print(views.execute({query!r}).collect().item())"
    whole = {"PATH": os.environ["PATH"]} | environment
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=whole, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def distinct_logs(published: Target) -> int:
    """Return the number of logs in the blocks that are published, each counted once."""
    rows = json.loads(catalog(published, "--json", "--config-hash", "h1").stdout)
    assert published.directory is not None
    files = [str(published.directory / key) for row in rows if row["dataset"] == "logs" for key in row["parquet_keys"]]
    query = "SELECT count(DISTINCT (block_number, log_index)) FROM read_parquet($files)"
    return int(duckdb.execute(query, {"files": files}).fetchall()[0][0])


@both
def test_the_catalog_lists_versions_with_rows_and_the_level_where_it_is_kept(published: Target):
    """Versions come by chain, dataset and range; a directory keeps levels too, beside the objects."""
    rows = json.loads(catalog(published, "--json").stdout)
    found = [(row["dataset"], row["range_start"], row["range_end"]) for row in rows]
    assert found == [("blocks", 0, 300), *EXPECTED]
    assert rows[0]["rows"] == 300
    assert {row["evidence"] for row in rows} == {"rows"}
    below = catalog(published, below=f"/cryo/31337/{LOGS['dataset_uuid']}/").stdout.splitlines()
    assert [tuple(line.split("\t")[1:5:2]) for line in below[1:3]] == [("logs", "0"), ("logs", "0")]
    assert len(below) == 6


@on_files
def test_duckdb_reads_each_published_log_once(published: Target):
    """Overlapping and repeated ranges are cut, and blocks that are not published are named."""
    printed = catalog(published, "--sql", "duckdb").stdout
    assert "-- blocks 0 to 799, without 600 to 699\n" in printed
    database = duckdb.connect()
    database.execute(printed)
    query = "SELECT count(*), count(DISTINCT (block_number, log_index)) FROM network_31337_logs"
    assert database.execute(query).fetchall() == [(distinct_logs(published),) * 2]
    assert database.execute("SELECT count(*) FROM network_31337_blocks").fetchall() == [(300,)]


@on_files
def test_duckdb_finds_files_below_a_name_that_looks_like_a_glob(published: Target, tmp_path: Path):
    """`[`, `*`, `?` and a quote in a directory's name are part of the name, and `a=b` is no column."""
    assert published.directory is not None
    strange = tmp_path / "it's [1]*?a=b"
    published.directory.rename(strange)
    moved = Target(f"file://{tmp_path}/it's%20%5B1%5D*%3Fa=b", {}, directory=strange)
    database = duckdb.connect()
    database.execute(catalog(moved, "--sql", "duckdb").stdout)
    (columns,) = database.execute(
        "SELECT count(*) FROM (DESCRIBE network_31337_blocks) WHERE column_name = 'a'"
    ).fetchall()
    assert columns == (0,)
    assert (
        polars(catalog(moved, "--sql", "polars").stdout, tmp_path, {}, "SELECT count(*) FROM network_31337_blocks")
        == 300
    )


@both
def test_polars_reads_each_published_log_once(published: Target, tmp_path: Path):
    """The module reads S3 with the keys of the environment; none is in it."""
    printed = catalog(published, "--sql", "polars").stdout
    total = polars(printed, tmp_path, published.environment, "SELECT count(*) FROM network_31337_logs")
    query = "SELECT count(*) FROM (SELECT DISTINCT block_number, log_index FROM network_31337_logs)"
    assert total == polars(printed, tmp_path, published.environment, query)
    if published.bucket is None:
        assert total == distinct_logs(published)
    else:
        assert published.environment["AWS_SECRET_ACCESS_KEY"] not in printed


@on_files
def test_a_broken_manifest_is_named_and_its_version_left_out(published: Target):
    """A missing file is no reason to hide the rest; files without a manifest are no versions."""
    assert published.directory is not None
    uuid = str(LOGS["dataset_uuid"])
    dataset = published.directory / "cryo" / "31337" / uuid
    (file,) = dataset.glob("700_800/*/*.parquet")
    (manifest,) = dataset.glob("300_600/*/_manifest.json")
    (text,) = dataset.glob("200_500/*/_manifest.json")
    file.unlink()
    manifest.unlink()
    text.write_text("{}")
    done = catalog(published, "--json")
    assert done.returncode == 1
    assert [(row["dataset"], row["range_start"]) for row in json.loads(done.stdout)] == [
        ("blocks", 0),
        ("logs", 0),
        ("logs", 0),
    ]
    assert "lists 1 file(s) that are not stored; the first is" in done.stderr
    assert "is not a manifest" in done.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [("ftp://x", ()), ("s3://", ()), ("file:///x", ("--json", "--sql", "duckdb")), ("file:///x", ("--sql", "mysql"))],
)
def test_a_wrong_command_line_is_a_usage_error(url: str, words: tuple[str, ...]):
    """Nothing is listed."""
    done = catalog(Target(url, {}), *words)
    assert (done.returncode, done.stdout) == (64, "")
