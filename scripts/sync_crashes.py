"""Run a sync in fake mode, kill it with SIGKILL at seeded moments, and let the last one end.

At the end nothing may be missing, no range may have been extracted although it was published, each prefix must be
exact, and neither staging directories nor processes may be left.

    python scripts/sync_crashes.py [--ranges 2000] [--kills 10] [--blocks 20] [--concurrency 4] [--seed 0]

Exits with 0 if all of this holds, otherwise with 1 and the problems.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
CHAIN_ID = 31337
DATASETS = ("blocks", "transactions", "logs", "contracts")
EVENTS_A_RANGE = 4
"""About how many lines a sync logs per range, at least; kills are at random lines, so at every step."""

Range = tuple[str, str]
"""A dataset and its blocks, as log events have them."""


@dataclass(slots=True)
class Options:
    """The command-line options; `ranges` is the number of all streams together, `blocks` that of one range."""

    ranges: int
    kills: int
    blocks: int
    concurrency: int
    seed: int

    @property
    def to_block(self) -> int:
        """The end of all streams."""
        return self.ranges // len(DATASETS) * self.blocks


@dataclass(slots=True)
class Crashes:
    """The syncs of one job, one after another, and what they did wrong."""

    options: Options
    folder: Path
    lines: int = 0
    kills: int = 0
    problems: list[str] = field(default_factory=list)

    def run(self, kill_at: int | None) -> int:
        """Run a sync, until the log of all has `kill_at` lines if that is given; return the exit code."""
        published = self.published()
        with subprocess.Popen(
            [BIN / "cryo-ingest", "sync", self.folder / "job.yaml", "--store", f"file://{self.folder}/out"],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None  # noqa: S101 - asked for above
            for line in process.stderr:
                self.lines += 1
                self.check(line, published)
                if kill_at is not None and self.lines == kill_at:
                    self.kills += 1
                    process.kill()
        return process.returncode

    def check(self, line: str, published: set[Range]) -> None:
        """Note a range that is extracted although it was published when the sync began, or has been since."""
        try:
            event = json.loads(line)
        except ValueError:
            return  # the last line of a killed process, or the summary
        if event["event"] in {"cryo.started", "version.published"}:
            found = (event["dataset"], event["range"])
            if event["event"] == "version.published":
                published.add(found)
            elif found in published:
                self.problems.append(f"{found} was extracted again")

    def environment(self) -> dict[str, str]:
        """Return the environment of a command."""
        return {
            "PATH": os.environ["PATH"],
            "TRACE_LOG_FORMAT": "json",
            "TRACE_CRYO_STAGING_ROOT": str(self.folder / "staging"),
            "TRACE_WORKER_CONCURRENCY": str(self.options.concurrency),
        }

    def published(self) -> set[Range]:
        """Return the ranges that have a manifest."""
        found = set()
        for manifest in (self.folder / "out").glob("cryo/*/*/*/*/_manifest.json"):
            dataset = next(manifest.parent.glob("*.parquet")).name.split("__")[1]
            found.add((dataset, manifest.parents[1].name.replace("_", ":")))
        return found


def job(options: Options) -> str:
    """Return the job's file."""
    mode = f"{{kind: fixed_target, from_block: 0, to_block: {options.to_block}}}"
    streams = "".join(
        f"  {name}: {{cryo_dataset_name: {name}, rpc_pool: any, chunk_size: {options.blocks}, max_inflight: 4}}\n"
        for name in DATASETS
    )
    return f"kind: chain_sync\nname: crashes\nchain_id: {CHAIN_ID}\nmode: {mode}\nstreams:\n{streams}"


def problems_of_store(crashes: Crashes) -> list[str]:
    """Return the gaps, the prefixes with other files than those of their version, and the number of versions."""
    problems, options = [], crashes.options
    root = crashes.folder / "out" / "cryo" / str(CHAIN_ID)
    for dataset in sorted(root.iterdir()):
        command = [BIN / "cryo-ingest", "gaps", f"file://{dataset}", "--from", "0", "--to", str(options.to_block)]
        found = subprocess.run(command, env=crashes.environment(), capture_output=True, text=True, check=False)
        if found.returncode != 0 or found.stderr:
            problems.append(f"gaps in {dataset.name}: exit code {found.returncode}: {found.stderr}")
    versions = [path.parent for path in root.glob("*/*/*/_manifest.json")]
    if len(versions) != options.ranges:
        problems.append(f"{len(versions)} versions, not {options.ranges}")
    files = {version: sorted(path.suffix for path in version.iterdir()) for version in versions}
    problems += [f"{version} has {found}" for version, found in files.items() if found != [".json", ".parquet"]]
    return problems


def orphans(staging: Path) -> list[str]:
    """Return the processes with this staging root in their environment or as their directory."""
    commands = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cwd").readlink().is_relative_to(staging):
                commands.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has just ended, or belongs to another user
            continue
    return commands


def crash(options: Options, folder: Path) -> list[str]:
    """Run the syncs and return the problems."""
    crashes = Crashes(options, folder)
    (folder / "job.yaml").write_text(job(options), encoding="utf-8")
    generator = random.Random(options.seed)  # noqa: S311 - a seed makes the moments repeatable
    moments = sorted(generator.sample(range(2, options.ranges * EVENTS_A_RANGE), options.kills))
    started = time.monotonic()
    for moment in moments:
        crashes.run(max(moment, crashes.lines + 1))
    code = crashes.run(None)
    seconds = time.monotonic() - started
    print(f"{options.ranges} ranges of {len(DATASETS)} streams, {crashes.kills} kills, {seconds:.1f} s")
    problems = [f"the last sync ended with {code}"] if code else []
    if crashes.kills != options.kills:
        problems.append(f"only {crashes.kills} of {options.kills} syncs were killed")
    problems += [f"left in staging: {path}" for path in (folder / "staging").rglob("*")]
    problems += [f"left running: {command}" for command in orphans(folder / "staging")]
    return [*crashes.problems, *problems, *problems_of_store(crashes)]


def main() -> int:
    """Read the options, run, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = (("ranges", 2000), ("kills", 10), ("blocks", 20), ("concurrency", 4), ("seed", 0))
    for name, default in defaults:
        parser.add_argument(f"--{name}", type=int, default=default)
    with tempfile.TemporaryDirectory() as folder:
        problems = crash(Options(**vars(parser.parse_args())), Path(folder))
    print("\n".join(problems) or "nothing is missing, extracted again or left over")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
