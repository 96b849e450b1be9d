"""Reads a job file: the platform's `chain_sync` YAML, to the letter. Every mistake is reported with its line.

What the platform accepts is accepted here, except what every task would fail on: an unknown dataset, a block number
that Cryo can't store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryo_ingest.datasets import find_dataset
from cryo_ingest.errors import BadPayload
from cryo_ingest.model import MAX_BLOCK_NUMBER, MAX_CHAIN_ID, NAME_PATTERN, check_pool_name
from cryo_ingest.sync.job import FixedTarget, FollowHead, Job, Stream
from cryo_ingest.sync.yaml_fields import parse_file, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from cryo_ingest.sync.yaml_fields import Fields

MAX_BYTES = 1024**2
"""A job of a thousand streams has a tenth of this."""

FOLLOW_HEAD_FIELDS = (
    *("kind", "from_block", "tail_lag", "head_poll_interval_seconds", "max_head_age_seconds"),
    "max_wait_seconds",
)
"""All but the last one, which is optional, are the platform's."""

MAX_COUNT = 2**32 - 1
"""The largest number of blocks or tasks that a field may have."""


def read_job(path: Path) -> Job:
    """Read a job file.

    Raises:
        BadJob: it can't be read, or has mistakes; the message names each with its line and field.
    """
    return parse_job(read_file(path, max_bytes=MAX_BYTES), name=path.name)


def parse_job(content: bytes, *, name: str) -> Job:
    """Parse a job file's content; `name` is the file's, for messages.

    Raises:
        BadJob: it has mistakes; the message names each with its line and field.
    """
    return parse_file(content, name, max_bytes=MAX_BYTES, read=_job)


def _job(fields: Fields) -> Job:
    fields.reject_unknown(("kind", "name", "chain_id", "mode", "streams"))
    fields.choice("kind", ("chain_sync",))
    return Job(
        name=fields.text("name", check=lambda value: None if value.strip() else "must not be empty"),
        chain_id=fields.integer("chain_id", minimum=1, maximum=MAX_CHAIN_ID),
        mode=_mode(fields.mapping("mode")),
        streams=_streams(fields),
    )


def _mode(fields: Fields) -> FixedTarget | FollowHead:
    kind = fields.choice("kind", ("fixed_target", "follow_head"))
    from_block = fields.integer("from_block", minimum=0, maximum=MAX_BLOCK_NUMBER - 1)
    if kind == "follow_head":
        fields.reject_unknown(FOLLOW_HEAD_FIELDS)
        return FollowHead(
            from_block=from_block,
            tail_lag=fields.integer("tail_lag", minimum=0, maximum=MAX_COUNT),
            head_poll_interval_seconds=fields.seconds("head_poll_interval_seconds"),
            max_head_age_seconds=fields.seconds("max_head_age_seconds"),
            max_wait_seconds=fields.seconds("max_wait_seconds") if "max_wait_seconds" in fields.nodes else None,
        )
    if kind is None:
        return FixedTarget(from_block, from_block + 1)
    fields.reject_unknown(("kind", "from_block", "to_block"))
    to_block = fields.integer("to_block", minimum=1, maximum=MAX_BLOCK_NUMBER)
    if to_block <= from_block and "to_block" in fields.nodes:
        fields.add_problem("to_block", "must be greater than from_block (the range is end-exclusive)")
    return FixedTarget(from_block, to_block)


def _streams(fields: Fields) -> tuple[Stream, ...]:
    streams = fields.mapping("streams")
    if not streams.nodes and "streams" in fields.nodes and fields.nodes["streams"].id == "mapping":
        fields.add_problem("streams", "must have at least one stream")
    return tuple(_stream(key, of_stream, streams) for key, of_stream in streams.mappings())


def _stream(key: str, fields: Fields, streams: Fields) -> Stream:
    if not re.fullmatch(NAME_PATTERN, key):
        streams.add_problem(key, "a stream's name must be 1 to 64 of a-z, 0-9 and _")
    fields.reject_unknown(("cryo_dataset_name", "rpc_pool", "chunk_size", "max_inflight"))
    return Stream(
        dataset_key=key,
        cryo_dataset_name=fields.text("cryo_dataset_name", check=_dataset_problem),
        rpc_pool=fields.text("rpc_pool", check=_pool_problem),
        chunk_size=fields.integer("chunk_size", minimum=1, maximum=MAX_COUNT),
        max_inflight=fields.integer("max_inflight", minimum=1, maximum=MAX_COUNT),
    )


def _dataset_problem(name: str) -> str | None:
    if not re.fullmatch(NAME_PATTERN, name):
        return "must be 1 to 64 of a-z, 0-9 and _"
    try:
        find_dataset(name)
    except BadPayload as error:
        return "; ".join(error.problems.values())
    return None


def _pool_problem(name: str) -> str | None:
    try:
        check_pool_name(name)
    except ValueError as error:
        return str(error)
    return None
