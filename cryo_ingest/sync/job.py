"""A job: a chain, its streams and the blocks to publish. `job_file` reads it from YAML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """One dataset of a job.

    `dataset_key` identifies the stream; two streams may have the same Cryo dataset. `chunk_size` is the number of
    blocks of one task, and `max_inflight` the number of tasks of this stream that may be unfinished at once.
    """

    dataset_key: str
    cryo_dataset_name: str
    rpc_pool: str
    chunk_size: int
    max_inflight: int


@dataclass(frozen=True, slots=True)
class FixedTarget:
    """Publish the blocks `[from_block, to_block)`, then end."""

    from_block: int
    to_block: int


@dataclass(frozen=True, slots=True)
class FollowHead:
    """Publish from `from_block` up to `tail_lag` blocks below the head, and follow it until a signal.

    The head is read every `head_poll_interval_seconds`. If the last reading is older than `max_head_age_seconds`,
    nothing is planned. A range shorter than `chunk_size` is planned only if its first block has waited for
    `max_wait_seconds`, and never if that is None.
    """

    from_block: int
    tail_lag: int
    head_poll_interval_seconds: float
    max_head_age_seconds: float
    max_wait_seconds: float | None = None

    def eligible_end(self, head: int, *, final: int | None = None, confirmations: int = 0) -> int:
        """Return the end of the blocks that may be planned, exclusive, for the number of the head block.

        If the last final block is known, it decides instead of `tail_lag`.
        """
        last = head - max(self.tail_lag, confirmations) if final is None else final
        return max(self.from_block, last + 1)


@dataclass(frozen=True, slots=True)
class Job:
    """A job file's content; `name` identifies the job, and streams are in the file's order."""

    name: str
    chain_id: int
    mode: FixedTarget | FollowHead
    streams: tuple[Stream, ...]

    @property
    def from_block(self) -> int:
        """The first block of all streams."""
        return self.mode.from_block
