"""`make demo-sync`: a job of four datasets on a local chain, into `./out/sync`, and a query over what was published.

Starts the harness's RPC pool on loopback, runs `fixtures/jobs/demo.yaml` on it with real Cryo, and queries the views of
`cryo-ingest catalog` with DuckDB. If there is no wheel of Cryo for this interpreter, fake Cryo runs instead.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
JOB = ROOT / "fixtures" / "jobs" / "demo.yaml"
STORE = f"file://{ROOT}/out/sync"
CHAIN_ID, HEAD = 31337, 20_100
QUERY = """
SELECT block_number // 5000 * 5000 AS from_block, count(*) AS transactions, count(DISTINCT from_address) AS senders
FROM network_31337_transactions GROUP BY 1 ORDER BY 1
"""


def main() -> int:
    """Run the demo and return the exit code of the sync."""
    real = importlib.util.find_spec("cryo") is not None
    print(
        f"{'real' if real else 'FAKE'} Cryo, chain {CHAIN_ID} served on loopback by `cryo-harness serve rpc`",
        flush=True,
    )
    command = [BIN / "cryo-harness", "serve", "rpc", "--chain-id", str(CHAIN_ID), "--head", str(HEAD)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - requested above
            url = server.stdout.readline().strip()
            if not url:
                print("the local chain did not start: see its output above")
                return 1
            return sync("cryo-from-wheel" if real else "fake-cryo", url)
        finally:
            server.terminate()


def sync(cryo: str, url: str) -> int:
    """Run the sync and the query; return the exit code of the sync."""
    with tempfile.TemporaryDirectory() as staging:
        own = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": str(BIN / cryo), "TRACE_CRYO_RPC_URL": url}
        own |= {"TRACE_CRYO_STAGING_ROOT": staging, "TRACE_WORKER_CONCURRENCY": str(os.cpu_count() or 1)}
        started = time.monotonic()
        ran = subprocess.run([BIN / "cryo-ingest", "sync", JOB, "--store", STORE], env=os.environ | own, check=False)
        print(f"exit code {ran.returncode} after {time.monotonic() - started:.0f} s")
        if ran.returncode == 0:
            show_query()
        return ran.returncode


def show_query() -> None:
    """Query the views with DuckDB."""
    views = subprocess.run(
        [BIN / "cryo-ingest", "catalog", STORE, "--sql", "duckdb"], capture_output=True, text=True, check=True
    )
    database = duckdb.connect()
    database.execute(views.stdout)
    print(f"\ncryo-ingest catalog {STORE} --sql duckdb, then{QUERY}")
    database.sql(QUERY).show()


if __name__ == "__main__":
    sys.exit(main())
