"""The README's first command: real Cryo on a local chain, into `./out` as a `file://` store.

Starts the harness's RPC pool on loopback, runs `fixtures/tasks/demo.json` against it, shows what came of it, and ends
what it started. Where this interpreter has no wheel of Cryo, the fake one runs instead, and the first line says so.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TASK = ROOT / "fixtures" / "tasks" / "demo.json"
OUT = ROOT / "out"


def main() -> int:
    """Run the demo and return the worker's exit code."""
    real = importlib.util.find_spec("cryo") is not None
    task = json.loads(TASK.read_text(encoding="utf-8"))
    if real:
        print(f"real Cryo 0.3.2, chain {task['chain_id']} served on loopback by `cryo-harness serve rpc`")
        return with_local_chain(task["chain_id"])
    print("FAKE Cryo: PyPI has no wheel of Cryo 0.3.2 for this interpreter (CPython 3.11 has one)")
    return show(run({"TRACE_CRYO_MODE": "fake"}))


def with_local_chain(chain_id: int) -> int:
    """Serve the deterministic chain, run the worker on it in real mode, and stop serving."""
    server = subprocess.Popen(
        [BIN / "cryo-harness", "serve", "rpc", "--chain-id", str(chain_id), "--head", "10000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None  # noqa: S101 - it was asked for above
        url = server.stdout.readline().strip()
        if not url:
            print("the local chain did not start: its own words are above")
            return 1
        cryo = str(BIN / "cryo-from-wheel")
        return show(run({"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": cryo, "TRACE_RPC_POOL_DEMO_URL": url}))
    finally:
        server.terminate()
        server.wait()


def run(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the worker on the demo's task, its logs as JSON so that they can be told in words."""
    with tempfile.TemporaryDirectory() as staging:
        environment = {"PATH": os.environ["PATH"], "TRACE_LOG_FORMAT": "json", "TRACE_CRYO_STAGING_ROOT": staging}
        return subprocess.run(
            [BIN / "cryo-ingest", "run", TASK, "--store", f"file://{OUT}"],
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )


def show(result: subprocess.CompletedProcess[str]) -> int:
    """Print what was proved, the tree that was written and the publication; or why there is none."""
    if result.returncode != 0:
        print(result.stderr, end="")
        return result.returncode
    events = {event["event"]: event for event in map(json.loads, result.stderr.splitlines())}
    publication = json.loads(result.stdout)
    print(f"\nproved:      {in_words(events)}")
    folder = Path(publication["storage_ref"]["prefix"])
    print(f"\nwritten:     {folder.relative_to(ROOT)}/")
    for path in sorted(folder.iterdir()):
        print(f"  {path.stat().st_size:>11,} bytes  {path.name}")
    print(f"\npublication: {result.stdout}", end="")
    return 0


def in_words(events: dict[str, dict[str, Any]]) -> str:
    """Say what was proved of which files, from the worker's own events."""
    proved = events.get("range.proved")
    if proved is None:
        return "the version was there and proved whole again, so Cryo did not run (remove ./out to see it run)"
    return (
        f"{proved['rows']:,} rows in {proved['files']} files, level {proved['evidence']}; every chunk there, the "
        f"pinned schema, every block in range; written by the Cryo with SHA-256 {proved['cryo_sha256'][:16]}…"
    )


if __name__ == "__main__":
    sys.exit(main())
