"""The dimensions of what is around a worker: delivery, level, endpoints, caps, the store and the dispatcher."""

from __future__ import annotations

from functools import partial
from typing import Any

from harness.contract import LEVELS, MANIFEST_NAME
from harness.generated.draft import Draft, Value, usual
from harness.model.configuration import FILE_BYTES, FILES, TOTAL_BYTES

MANIFEST = "{prefix}" + MANIFEST_NAME
CHUNK = "{prefix}{chunk}"
POOL = "TRACE_RPC_POOL_LOCAL_URL"


def deliveries() -> list[Value]:
    """Return the ways in which a task reaches the worker, and a directory as the store."""

    def service(draft: Draft, **platform: Any) -> None:
        draft.fields["delivery"] = "worker"
        draft.table("platform", lease_seconds=30.0, max_attempts=2, **platform)

    return [
        Value("run", usual),
        Value("run into a directory", lambda draft: draft.fields.update(store="directory")),
        Value("service", service),
        Value("service, lite form", partial(service, form="lite")),
        Value("service, every wake-up twice", partial(service, wakeups=2)),
        Value("service, two workers and every wake-up twice", partial(service, workers=2, wakeups=2)),
    ]


def levels() -> list[Value]:
    """Return the levels of proof, and fake mode."""
    return [
        *(Value(name, partial(_field, "level", name)) for name in LEVELS),
        Value("fake mode", partial(_field, "mode", "fake")),
    ]


def _field(name: str, value: Any, draft: Draft) -> None:
    draft.fields[name] = value


def endpoints() -> list[Value]:
    """Return pools with one to three endpoints, of which some are unfit, and heads around the end of the range."""

    def urls(text: str, draft: Draft) -> None:
        draft.table("environment", **{POOL: text})

    def common(draft: Draft) -> None:
        draft.table("environment", **{POOL: "(unset)", "TRACE_CRYO_RPC_URL": "{pool_url}"})

    def final(behind: int, draft: Draft) -> None:
        draft.table("node", finalized=draft.payload["range_end"] - 1 - behind)

    def wrong_chain(draft: Draft) -> None:
        draft.table("node", claims_chain_id=1)

    return [
        Value("one", usual),
        Value("the first is dead", partial(urls, "{dead_url} {pool_url}")),
        Value("the first is of another chain", partial(urls, "{other_chain_url} {pool_url}")),
        Value("the last is dead", partial(urls, "{pool_url} {dead_url}")),
        Value("two are unfit", partial(urls, "{dead_url} {other_chain_url} {pool_url}")),
        Value("two are good, with white space around", partial(urls, "  {pool_url}\t{second_url} ")),
        Value("the same twice", partial(urls, "{pool_url} {pool_url}")),
        Value("in the common variable", common),
        Value("all are dead", partial(urls, "{dead_url}")),
        Value("of another chain", partial(urls, "{other_chain_url}")),
        Value("none", lambda draft: draft.fields.update(pool_url=False)),
        Value("final at the last block", partial(final, 0)),
        Value("final one block too early", partial(final, 1)),
        Value("says another chain", wrong_chain),
    ]


def caps() -> list[Value]:
    """Return caps at, one under and one over what a range has, and caps that are not numbers."""

    def variable(name: str, value: str, draft: Draft) -> None:
        draft.table("environment", **{name: value})

    def files(more: int, draft: Draft) -> None:
        variable(FILES, str(len(draft.parts) + more), draft)

    return [
        Value("usual", usual),
        Value("files: at", partial(files, 0)),
        Value("files: one over", partial(files, 1)),
        Value("files: one under", partial(files, -1)),
        Value("bytes of a file: at", partial(variable, FILE_BYTES, "{largest_bytes}")),
        Value("bytes of a file: one under", partial(variable, FILE_BYTES, "{under_largest_bytes}")),
        Value("bytes in all: at", partial(variable, TOTAL_BYTES, "{total_bytes}")),
        Value("bytes in all: one under", partial(variable, TOTAL_BYTES, "{under_total_bytes}")),
        *(Value(f"files: {text!r}", partial(variable, FILES, text)) for text in ("-1", "1.5", "1e3", "two", "0x10")),
    ]


def store_faults() -> list[Value]:
    """Return failures of the store at the first, the last and each object, before and after their effect."""

    def fault(draft: Draft, **fields: Any) -> None:
        draft.add("store_faults", {"operation": "put", "may_miss": True, **fields})

    def last_file(draft: Draft, **fields: Any) -> None:
        fault(draft, key=files, nth=len(draft.parts), times=1, **fields)

    manifest, files = f"{MANIFEST_NAME}$", "parquet$"
    return [
        Value("none", usual),
        Value("the first file's PUT fails", partial(fault, key=files, times=1, status=503)),
        Value("the first file's answer is lost", partial(fault, key=files, times=1, when="after")),
        Value("the last file's PUT fails", partial(last_file, status=500)),
        Value("the last file's answer is lost", partial(last_file, when="after", do="reset")),
        Value("the manifest's PUT fails", partial(fault, key=manifest, times=1)),
        Value("the manifest's answer is lost", partial(fault, key=manifest, times=1, when="after", do="reset")),
        Value("a listing fails", partial(fault, operation="list", times=1, do="slow-down")),
        Value("the second listing fails", partial(fault, operation="list", nth=2, times=1, status=503)),
        Value(
            "a file's PUT is refused with 409",
            partial(fault, key=files, times=1, status=409, code="ConditionalRequestConflict"),
        ),
        Value("every PUT is denied", partial(fault, status=403, code="AccessDenied")),
        Value("no bucket", partial(fault, status=404, code="NoSuchBucket")),
        Value("the manifest's PUT is denied", partial(fault, key=manifest, status=403, code="AccessDenied")),
        Value("every listing is denied", partial(fault, operation="list", status=403, code="AccessDenied")),
        Value("half of each file is kept", partial(fault, key=files, do="keep-half")),
        Value("half of the last file is kept", partial(last_file, do="keep-half")),
        Value("half of the manifest is kept", partial(fault, key=manifest, do="keep-half")),
    ]


def dispatcher_faults() -> list[Value]:
    """Return answers of the dispatcher that come late but in time, or not at all, and failures that pass."""

    def fault(kind: str, draft: Draft, **fields: Any) -> None:
        if draft.fields.get("delivery") == "worker":
            draft.add("dispatcher_faults", {"kind": kind, "times": 1, "may_miss": True, **fields})
        else:
            raise Impossible("a dispatcher needs a service")

    return [
        Value("none", usual),
        Value("the claim's answer is late", partial(fault, "claim", do="delay", seconds=2.0)),
        Value("the completion's answer is late", partial(fault, "complete", do="delay", seconds=2.0)),
        Value("a claim gets 503", partial(fault, "claim", do="status", status=503)),
        Value("a claim gets 401", partial(fault, "claim", do="status", status=401)),
        Value("a claim is reset", partial(fault, "claim", do="reset")),
        Value("a completion gets 500", partial(fault, "complete", do="status", status=500)),
        Value("a completion's answer is lost", partial(fault, "complete", do="reset", when="after")),
        Value("a completion is reset", partial(fault, "complete", do="reset")),
        Value("unknown fields in the claim", partial(fault, "claim", do="unknown-fields")),
    ]


class Impossible(ValueError):
    """Values that exclude each other; the message says why."""
