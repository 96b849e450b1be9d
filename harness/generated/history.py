"""The dimensions of what came before: stored objects, other tasks of the process; and of what Cryo does wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from harness.generated.draft import Draft, Value, usual
from harness.generated.surroundings import CHUNK, MANIFEST, Impossible


def _objects(draft: Draft, *, level: str = "", **contents: str) -> None:
    """Preload files by their position, and a manifest; a position replaces what `all` says of its file.

    The files were proved at the level of the scenario, unless `level` is given.
    """
    last = len(draft.parts) - 1
    positions = {"all": range(last + 1), "first": [0], "last": [last]}
    files = {
        chunk: contents[position] for position, chunks in positions.items() if position in contents for chunk in chunks
    }
    evidence = level or draft.fields.get("level", "chain")
    for chunk, content in files.items():
        draft.add("preloaded_objects", {"key": CHUNK, "content": content, "chunk": chunk, "evidence": evidence})
    if "manifest" in contents:
        draft.add("preloaded_objects", {"key": MANIFEST, "content": contents["manifest"]})


def _text(key: str, draft: Draft, *, body: str) -> None:
    draft.add("preloaded_objects", {"key": key, "content": "text", "text": body})


def stored() -> list[Value]:
    """Return what an earlier attempt or another worker has left under the prefix."""
    complete = partial(_objects, all="whole", manifest="manifest")
    return [
        Value("nothing", usual),
        Value("the first file", partial(_objects, first="whole")),
        Value("the last file", partial(_objects, last="whole")),
        Value("all files, no manifest", partial(_objects, all="whole")),
        Value("a manifest alone", partial(_objects, manifest="manifest")),
        Value("all files and a short manifest", partial(_objects, all="whole", manifest="short-manifest")),
        Value("the whole version", complete),
        Value("the whole version, proved by rows", partial(complete, level="rows")),
        Value("the first file is broken", partial(_objects, first="broken")),
        Value("the last file is broken", partial(_objects, last="broken")),
        Value("the last file lacks rows", partial(_objects, last="fewer-rows")),
        Value("the first file has other rows", partial(_objects, first="other-rows")),
        Value("a manifest over a broken first file", partial(complete, first="broken")),
        Value("a manifest over a broken last file", partial(complete, last="broken")),
        Value("a manifest over a last file that lacks rows", partial(complete, last="fewer-rows")),
        Value("made-up data", partial(_objects, first="fake")),
        Value("a foreign Parquet file", partial(_text, "{prefix}part-0.parquet", body="PAR1")),
        Value("an empty manifest", partial(_text, MANIFEST, body="")),
        Value("a manifest that is not JSON", partial(_text, MANIFEST, body="{")),
        Value("a manifest of another version", partial(_text, MANIFEST, body='{"version": 2}')),
    ]


def cryo() -> list[Value]:
    """Return what Cryo does wrong, at the first and last file, at their borders, in each run or in the first only."""

    def fault(draft: Draft, **fields: Any) -> None:
        draft.add("cryo_faults", fields)

    def at_last(draft: Draft, **fields: Any) -> None:
        fault(draft, chunk=len(draft.parts) - 1, **fields)

    def lost_block(position: str, draft: Draft) -> None:
        _check_loss_is_seen(draft)
        parts = draft.parts
        chunk = len(parts) - 1 if position.startswith("last file") else 0
        block = parts[chunk][0] if position.endswith("first block") else parts[chunk][-1]
        if len(parts[chunk]) == 1:
            raise Impossible("a file with one block would have no rows")
        fault(draft, do="omit_blocks", chunk=chunk, first=block, last=block)

    def once(draft: Draft, **fields: Any) -> None:
        if "chunk" not in fields and fields["do"] not in {"exit", "signal"}:
            fields["chunk"] = len(draft.parts) - 1
        if fields["do"] == "omit_rows":
            _check_loss_is_seen(draft)
        script = {"method": "harness_script", "times": 1, "do": "result", "value": {"faults": [fields]}}
        draft.add("rpc_faults", script | {"may_miss": True})

    def after_all(draft: Draft, *, code: int) -> None:
        fault(draft, do="exit", code=code, after_chunks=len(draft.parts))

    return [
        Value("works", usual),
        Value("fails at the first file, in each run", partial(fault, do="fail_chunk", chunk=0, message="failed")),
        Value("fails at the first file, once", partial(once, do="fail_chunk", chunk=0, message="failed")),
        Value("fails at the last file, once", partial(once, do="fail_chunk", message="failed")),
        Value("writes no first file, once", partial(once, do="omit_chunk", chunk=0)),
        Value("writes no last file, once", partial(once, do="omit_chunk")),
        Value("loses each second row of the last file, once", partial(once, do="omit_rows", every=2)),
        Value("cuts the last file off, once", partial(once, do="truncate_file", bytes=5)),
        Value("leaves an empty first file, once", partial(once, do="empty_file", chunk=0)),
        Value("leaves a temporary last file, once", partial(once, do="leave_temporary")),
        Value("fills the disk, once", partial(once, do="disk_full", chunk=0)),
        Value("is killed after the first file, once", partial(once, do="signal", number=9, after_chunks=1)),
        Value("loses the first block of the first file", partial(lost_block, "first file, first block")),
        Value("loses the last block of the first file", partial(lost_block, "first file, last block")),
        Value("loses the first block of the last file", partial(lost_block, "last file, first block")),
        Value("loses the last block of the last file", partial(lost_block, "last file, last block")),
        Value("renames a column of the first file", partial(fault, do="wrong_schema", chunk=0)),
        Value("cuts the first file off", partial(fault, do="truncate_file", chunk=0, bytes=1)),
        Value("leaves an empty first file", partial(fault, do="empty_file", chunk=0)),
        Value("leaves an empty last file", partial(at_last, do="empty_file")),
        Value("writes a file too many", partial(fault, do="extra_file", name="network_31337__blocks__9_to_9.parquet")),
        Value("ends with 2", partial(fault, do="exit", code=2, after_chunks=0)),
        Value("ends with 1 before the first file", partial(fault, do="exit", code=1, after_chunks=0)),
        Value("ends with 1 after the last file", partial(after_all, code=1)),
        Value("prints its URL", partial(fault, do="print_url")),
        Value("reads its blocks", partial(fault, do="read_blocks")),
    ]


def _check_loss_is_seen(draft: Draft) -> None:
    if draft.payload["cryo_dataset_name"] != "blocks":
        raise Impossible("by rows alone, only blocks show every loss")


def tasks() -> list[Value]:
    """Return what follows the first task: in a service, in the same process."""

    def following(draft: Draft, *, more: tuple[Mapping[str, Any], ...]) -> None:
        if draft.fields.get("delivery") == "worker" and any("attempt" in each for each in more):
            raise Impossible("a dispatcher counts the attempts of a service")
        draft.after = lambda first: [_next(first, each) for each in more]

    again = {"attempt": 2, "same_task": True}
    other = {"set": {"range_start": 3000, "range_end": 3100}}
    bad = {"set": {"range_end": 0}}
    return [
        Value("nothing", usual),
        Value("a second attempt", partial(following, more=(again,))),
        Value("another range", partial(following, more=(other,))),
        Value("the same version again", partial(following, more=({"attempt": 2},))),
        Value("a bad payload, then another range", partial(following, more=(bad, other))),
        Value("another config hash", partial(following, more=({"set": {"config_hash": "h2"}},))),
    ]


def _next(first: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a later task; it is the first one with some changes."""
    if "raw" in first:
        raise Impossible("a raw payload has no fields to change")
    later: dict[str, Any] = {name: value for name, value in first.items() if name in {"set", "add", "drop"}}
    return {**later, **changes, "set": {**later.get("set", {}), **changes.get("set", {})}}
