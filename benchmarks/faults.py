"""Measure what bad answers cost: the worker and Cryo alone on nodes that reject requests, hang, limit the rate or die.

    python benchmarks/faults.py [--cases TEXT…] [--dataset D] [--blocks N] [--latency-ms N] [--subject S] [--runs N]

Prints one row for each case. From the tenth HTTP request on, a share of the requests fails; a batch is one request. The
clean run that a row is compared with is a run of the same subject without faults; calls needed are its calls. The aims
are beside the figures: every run publishes, at most 1.1 times the needed calls plus those that failed, 1.5 times the
duration if at most 1 % fails, and 90 % of a rate limit used. Rate limits are measured on ranges of 20 seconds' calls.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from document import load, publish
from trials import SUBJECTS, Range, Trial, counting_pool, run

from harness.faults.rpc import Error, Hang, RateLimit, Reset, Status, Stop, Truncate

if TYPE_CHECKING:
    from harness.faults import RpcFault

FIRST_FAILING = 10
SHARES = (0.001, 0.01, 0.05)
KINDS: dict[str, RpcFault] = {
    "429, `Retry-After: 1`": Status(429, retry_after="1"),
    "429": Status(429),
    "503": Status(503),
    "reset": Reset(),
    "body cut in half": Truncate(),
    "error -32005": Error(-32005, "too many requests"),
}
TIMED_SHARE = 0.01
"""The largest share for which there is an aim for the time."""
LIMITS = (200, 1_000)
LIMIT_SECONDS = 20
BARE_SECONDS = 60
"""The time after which Cryo alone is stopped; it has no timeout of its own."""
WORKER_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Case:
    """One bad node.

    Attributes:
        name: what it does.
        faults: its faults.
        share: the share of requests that fail, or None.
        limit: the calls per second that it allows, or None.
        dies: whether it stops after half of the requests of a clean run; another endpoint is in the pool then.
    """

    name: str
    faults: tuple[RpcFault, ...] = ()
    share: float | None = None
    limit: int | None = None
    dies: bool = False


def cases() -> list[Case]:
    """Return all cases."""
    found = [
        Case(f"{name}, {share:.1%}", fail_share([fault], share), share)
        for name, fault in KINDS.items()
        for share in SHARES
    ]
    found += [Case(f"all of these, {share:.1%}", fail_share(list(KINDS.values()), share), share) for share in SHARES]
    found.append(Case("hang, 0.1%", fail_share([Hang()], 0.001), 0.001))
    for limit in LIMITS:
        found.append(Case(f"limit of {limit:,} calls a second", (RateLimit(limit, retry_after="1"),), limit=limit))
    return [*found, Case("the first of two endpoints dies half-way", dies=True)]


def fail_share(kinds: list[RpcFault], share: float) -> tuple[RpcFault, ...]:
    """Return faults that together make a share of the requests fail, the kinds in turn."""
    every = round(1 / share)
    return tuple(
        replace(kind, counts="requests", nth=FIRST_FAILING + index * every, every=every * len(kinds))
        for index, kind in enumerate(kinds)
    )


def measure(case: Case, subject: str, extracted: Range, latency_ms: float, clean: Trial | None) -> Trial:
    """Run a subject on the node of a case; `clean` is its run without faults."""
    faults = case.faults
    if case.dies and clean is not None:
        requests = clean.calls if subject == "bare" else clean.requests  # Cryo alone sends no batches
        faults = (Stop(counts="requests", nth=max(2, requests // 2)),)
    with ExitStack() as stack:
        first = stack.enter_context(counting_pool(*faults, latency_seconds=latency_ms / 1000))
        pools = [first]
        if case.dies:
            pools.append(stack.enter_context(counting_pool(latency_seconds=latency_ms / 1000)))
        trial = run(subject, extracted, pools, timeout_seconds=BARE_SECONDS if subject == "bare" else WORKER_SECONDS)
    sys.stderr.write(
        f"{case.name}, {subject}: code {trial.code}, {trial.files} of {extracted.files} files, {trial.seconds:.2f} s,"
        f" {trial.calls} calls in {trial.requests} requests, {trial.faulted_requests} failed,"
        f" {trial.rejected} calls rejected, {load()}\n"
    )
    if trial.code != 0 and subject != "bare":
        sys.stderr.write(f"{trial.errors}\n")
    return trial


def row(case: Case, extracted: Range, bare: Trial, trials: list[Trial], clean: Trial) -> str:
    """Render one case as a Markdown row."""
    published = sum(trial.code == 0 and trial.files == extracted.files for trial in trials)
    middle = sorted(trials, key=lambda trial: trial.seconds)[len(trials) // 2]
    calls = statistics.median(trial.calls for trial in trials) / clean.calls
    most_calls = 1.1 + middle.faulted / clean.calls
    most_time = "1.50" if case.share is not None and case.share <= TIMED_SHARE else ""
    used = ""
    if case.limit is not None:
        used = f"{(middle.calls - middle.rejected) / (case.limit * (middle.seconds + 1)):.0%} (90%)"
    stopped = f", stopped after {BARE_SECONDS} s" if bare.code is None else f", {bare.seconds:.1f} s"
    cells = [
        case.name,
        f"{extracted.blocks:,}",
        f"{bare.files} of {extracted.files} files{stopped}",
        f"{published} of {len(trials)}",
        f"{middle.faulted_requests} of {middle.requests}",
        f"{calls:.2f}",
        f"{most_calls:.2f}",
        f"{middle.seconds:.2f}",
        f"{middle.seconds / clean.seconds:.2f}",
        most_time,
        used,
    ]
    return f"| {' | '.join(cells)} |"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=[""], metavar="TEXT", help="only cases whose name contains one")
    parser.add_argument("--dataset", default="blocks")
    parser.add_argument("--blocks", type=int, default=20_000)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--subject", default="chain", choices=[name for name in SUBJECTS if name != "bare"])
    parser.add_argument("--runs", type=int, default=3, help="runs of the subject in each case (default 3)")
    parser.add_argument("--write", type=Path, help="a Markdown file in which to replace the table")
    return parser.parse_args()


def main() -> None:
    """Measure every case, and print the table."""
    chosen = arguments()
    before, subject = load(), chosen.subject
    cells = [
        f"node ({chosen.dataset}, {chosen.latency_ms:g} ms)", "blocks", "Cryo alone", "runs that published",
        "failed requests", "calls / needed", "aim, at most", "seconds", "time / clean", "aim, at most",
        "limit used (aim)",
    ]  # fmt: skip
    table = [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]
    clean: dict[int, Trial] = {}
    for case in cases():
        if not any(text in case.name for text in chosen.cases):
            continue
        extracted = Range(chosen.dataset, chosen.blocks if case.limit is None else case.limit * LIMIT_SECONDS)
        if extracted.blocks not in clean:  # the second of two runs: the node renders its answers in the first
            runs = [measure(Case("no fault"), subject, extracted, chosen.latency_ms, None) for _ in range(3)]
            clean[extracted.blocks] = min(runs[1:], key=lambda trial: trial.seconds)
        without = clean[extracted.blocks]
        bare = measure(case, "bare", extracted, chosen.latency_ms, without)
        trials = [measure(case, subject, extracted, chosen.latency_ms, without) for _ in range(chosen.runs)]
        table.append(row(case, extracted, bare, trials, without))
        sys.stderr.write(f"{table[-1]}\n")
    publish(table, chosen.write)
    print(f"\n{SUBJECTS[subject]}; the run with the median time of {chosen.runs}. Before: {before}; after: {load()}.")


if __name__ == "__main__":
    main()
