"""The README's first command: real Cryo on a local chain, into `./out` as a `file://` store.

Starts the harness's RPC pool on loopback, runs `fixtures/tasks/demo.json` with it, shows the result, and stops the
pool. If there is no wheel of Cryo for this interpreter, fake Cryo runs instead, and the first line says so.
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
        assert server.stdout is not None  # noqa: S101 - requested above
        url = server.stdout.readline().strip()
        if not url:
            print("the local chain did not start: see its output above")
            return 1
        cryo = str(BIN / "cryo-from-wheel")
        return show(run({"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": cryo, "TRACE_RPC_POOL_DEMO_URL": url}))
    finally:
        server.terminate()
        server.wait()


def run(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the worker on the demo task with JSON logs, from which the result is described."""
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
    """Print what was proved, the files and the publication; or the error."""
    if result.returncode != 0:
        print(result.stderr, end="")
        return result.returncode
    events = {event["event"]: event for event in map(json.loads, result.stderr.splitlines())}
    publication = json.loads(result.stdout)
    print(f"\nproved:      {describe_proof(events)}")
    folder = Path(publication["storage_ref"]["prefix"])
    print(f"\nwritten:     {folder.relative_to(ROOT)}/")
    for path in sorted(folder.iterdir()):
        print(f"  {path.stat().st_size:>11,} bytes  {path.name}")
    print(f"\npublication: {result.stdout}", end="")
    return 0


def describe_proof(events: dict[str, dict[str, Any]]) -> str:
    """Describe what was proved, from the worker's log events."""
    proved = events.get("range.proved")
    if proved is None:
        return "the stored version was proved complete again, so Cryo did not run (delete ./out to see it run)"
    return (
        f"{proved['rows']:,} rows in {proved['files']} files, level {proved['evidence']}; all chunks present, "
        f"expected schema, all blocks in range; written by the Cryo with SHA-256 {proved['cryo_sha256'][:16]}…"
    )


if __name__ == "__main__":
    sys.exit(main())
