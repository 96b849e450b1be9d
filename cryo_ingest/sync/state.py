"""What a sync remembers in SQLite: attempts, errors, splits, pauses and progress.

None of it decides what is published, which only the store does: a lost file costs the count of attempts, and ranges
that were too large are tried once more. Writers are the sync, `pause` and `resume`; WAL lets `status` read meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.logs import log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryo_ingest.sync.derived import Blocks

DATABASE, LOCK = "state.sqlite", "lock"
MOST_ANCHORS = 200
"""The number of block hashes that are remembered of each pool."""

FLOCK = struct.Struct("hhqqi4x")
"""Linux's `struct flock`: type, whence, start, length, process."""

WHOLE_FILE = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""Unlike `flock`, a lock of an open file description (OFD) can be asked for without being taken."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS failures (
    stream TEXT, start_block INTEGER, end_block INTEGER, attempts INTEGER, repeats INTEGER,
    error TEXT, message TEXT, at REAL, set_aside INTEGER, PRIMARY KEY (stream, start_block, end_block));
CREATE TABLE IF NOT EXISTS running (
    task_id TEXT, attempt INTEGER, stream TEXT, start_block INTEGER, end_block INTEGER, since REAL,
    PRIMARY KEY (task_id, attempt));
CREATE TABLE IF NOT EXISTS splits (
    stream TEXT, start_block INTEGER, end_block INTEGER, PRIMARY KEY (stream, start_block, end_block));
CREATE TABLE IF NOT EXISTS stream_progress (
    stream TEXT PRIMARY KEY, blocks INTEGER, missing_blocks INTEGER, next_block INTEGER, rows INTEGER, bytes INTEGER,
    at REAL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS errors (
    stream TEXT, error TEXT, attempts INTEGER, message TEXT, at REAL, PRIMARY KEY (stream, error));
CREATE TABLE IF NOT EXISTS heads (
    pool TEXT PRIMARY KEY, head INTEGER, final INTEGER, end_block INTEGER, at REAL, problem TEXT);
CREATE TABLE IF NOT EXISTS anchors (pool TEXT, block INTEGER, hash BLOB, PRIMARY KEY (pool, block));
CREATE TABLE IF NOT EXISTS reorgs (pool TEXT, start_block INTEGER, end_block INTEGER, at REAL);
"""


@dataclass(frozen=True, slots=True)
class RangeFailure:
    """The failed attempts at one range: `repeats` counts the last ones in a row that ended with the same error."""

    stream: str
    blocks: Blocks
    attempts: int
    repeats: int
    error: str
    message: str
    at: float
    set_aside: bool = False


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many attempts of a stream have ended with an error since the state exists, and when the last one did."""

    stream: str
    error: str
    attempts: int
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """An attempt that a sync has started; after a crash, one that it did not end."""

    task_id: str
    attempt: int
    stream: str
    blocks: Blocks
    since: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running sync is with the `blocks` of a stream's target, and what it has published itself."""

    stream: str
    blocks: int
    missing_blocks: int
    next_block: int
    rows: int
    size_bytes: int
    at: float


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """The last reading of a pool's head, for a job that follows it.

    `end` is the end of the blocks that may be planned, `at` the time of the reading, and `problem` says why nothing is
    planned now. Until the first reading, only `problem` is set.
    """

    pool: str
    head: int | None
    final: int | None
    end: int | None
    at: float | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Reorg:
    """Blocks that were planned on another fork than the one that a pool has now; `at` is when that was seen."""

    pool: str
    blocks: Blocks
    at: float


class State:
    """The state of one job in one directory; each method is one transaction."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._connection = _open(directory / DATABASE)
        except (OSError, sqlite3.OperationalError) as error:
            problem = f"can't be used as the directory of the job's state: {error}"
            raise ConfigurationError({"--state": problem}) from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def started(self, attempt: RunningAttempt) -> None:
        """Record an attempt before it starts, so that its staging directory is found after a crash."""
        row = (attempt.task_id, attempt.attempt, attempt.stream, *attempt.blocks, attempt.since)
        self._write("INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?, ?, ?)", *row)

    def ended(self, task_id: str, attempt: int) -> None:
        """Forget a running attempt."""
        self._write("DELETE FROM running WHERE task_id = ? AND attempt = ?", task_id, attempt)

    def running(self) -> list[RunningAttempt]:
        """Return the attempts that were started and not ended."""
        rows = self._connection.execute("SELECT * FROM running ORDER BY start_block, stream").fetchall()
        return [RunningAttempt(row[0], row[1], row[2], (row[3], row[4]), row[5]) for row in rows]

    def failed(self, failure: RangeFailure) -> None:
        """Record a range's failures so far."""
        row = (failure.stream, *failure.blocks, failure.attempts, failure.repeats, failure.error, failure.message)
        self._write(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row, failure.at, failure.set_aside
        )

    def count_error(self, stream: str, *, error: str, message: str, at: float) -> None:
        """Count an attempt that failed; unlike its range's failure it is not forgotten."""
        sql = (
            "INSERT INTO errors VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE "
            "SET attempts = attempts + 1, message = excluded.message, at = excluded.at"
        )
        self._write(sql, stream, error, message, at)

    def errors(self) -> list[ErrorCount]:
        """Return the errors of all attempts, the last one first."""
        rows = self._connection.execute("SELECT * FROM errors ORDER BY at DESC").fetchall()
        return [ErrorCount(*row) for row in rows]

    def failure(self, stream: str, blocks: Blocks) -> RangeFailure | None:
        """Return a range's failures, None without one."""
        found = self._failures("WHERE stream = ? AND start_block = ? AND end_block = ?", stream, *blocks)
        return found[0] if found else None

    def failures(self) -> list[RangeFailure]:
        """Return all ranges with failures that are not published since, in block order."""
        return self._failures("")

    def forget_failure(self, stream: str, blocks: Blocks) -> None:
        """Forget the failures of a range that is published or split."""
        sql = "DELETE FROM failures WHERE stream = ? AND start_block = ? AND end_block = ?"
        self._write(sql, stream, *blocks)

    def try_again(self) -> None:
        """Let ranges that were set aside be tried again, with their attempts still counted."""
        self._write("UPDATE failures SET set_aside = 0, repeats = 0")

    def split(self, stream: str, blocks: Blocks) -> None:
        """Remember that a range is too large."""
        self._write("INSERT OR IGNORE INTO splits VALUES (?, ?, ?)", stream, *blocks)

    def splits(self, stream: str) -> frozenset[Blocks]:
        """Return the ranges of a stream that were too large."""
        rows = self._connection.execute("SELECT start_block, end_block FROM splits WHERE stream = ?", (stream,))
        return frozenset((start, end) for start, end in rows.fetchall())

    def set_progress(self, progress: Progress) -> None:
        """Record how far a stream is."""
        row = (progress.stream, progress.blocks, progress.missing_blocks, progress.next_block)
        written = (progress.rows, progress.size_bytes, progress.at)
        self._write("INSERT OR REPLACE INTO stream_progress VALUES (?, ?, ?, ?, ?, ?, ?)", *row, *written)

    def progress(self) -> dict[str, Progress]:
        """Return the last recorded progress by stream."""
        rows = self._connection.execute("SELECT * FROM stream_progress").fetchall()
        return {row[0]: Progress(*row) for row in rows}

    def set_head(self, record: HeadRecord) -> None:
        """Record a reading of a pool's head, or why it failed."""
        row = (record.pool, record.head, record.final, record.end, record.at, record.problem)
        self._write("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?, ?)", *row)

    def heads(self) -> dict[str, HeadRecord]:
        """Return the last reading of each pool."""
        return {row[0]: HeadRecord(*row) for row in self._connection.execute("SELECT * FROM heads").fetchall()}

    def add_anchor(self, pool: str, block: int, hash_: bytes) -> None:
        """Remember the hash of a range's last block; the oldest ones are forgotten."""
        self._write("INSERT OR REPLACE INTO anchors VALUES (?, ?, ?)", pool, block, hash_)
        oldest = "SELECT block FROM anchors WHERE pool = ? ORDER BY block DESC LIMIT 1 OFFSET ?"
        self._write(f"DELETE FROM anchors WHERE pool = ? AND block <= ({oldest})", pool, pool, MOST_ANCHORS)  # noqa: S608 - constants

    def anchors(self, pool: str) -> dict[int, bytes]:
        """Return the remembered hashes by block, the newest first."""
        sql = "SELECT block, hash FROM anchors WHERE pool = ? ORDER BY block DESC"
        return dict(self._connection.execute(sql, (pool,)).fetchall())

    def record_reorg(self, reorg: Reorg) -> None:
        """Record a reorg, and forget the hashes of its blocks."""
        self._write("INSERT INTO reorgs VALUES (?, ?, ?, ?)", reorg.pool, *reorg.blocks, reorg.at)
        self._write("DELETE FROM anchors WHERE pool = ? AND block >= ?", reorg.pool, reorg.blocks[0])

    def reorgs(self) -> list[Reorg]:
        """Return the reorgs that were seen, the oldest first."""
        rows = self._connection.execute("SELECT * FROM reorgs ORDER BY at").fetchall()
        return [Reorg(pool, (start, end), at) for pool, start, end, at in rows]

    def fact(self, name: str) -> str | None:
        """Return a stored text, None without one."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Store a text under a name."""
        self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    @property
    def paused(self) -> bool:
        """Whether no new attempts may start."""
        return self.fact("paused") == "yes"

    def _failures(self, where: str, *parameters: object) -> list[RangeFailure]:
        sql = f"SELECT * FROM failures {where} ORDER BY start_block, stream"  # noqa: S608 - constants of this class
        rows = self._connection.execute(sql, parameters).fetchall()
        return [
            RangeFailure(stream, (start, end), attempts, repeats, error, message, at, set_aside=bool(set_aside))
            for stream, start, end, attempts, repeats, error, message, at, set_aside in rows
        ]

    def _write(self, sql: str, *parameters: object) -> None:
        with self._connection:
            self._connection.execute(sql, parameters)


def _open(path: Path) -> sqlite3.Connection:
    """Open the database; one that is broken is moved aside, since nothing depends on it."""
    try:
        return _connect(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        path.replace(path.with_suffix(".broken"))
        log.warning("sync.state_lost", reason="the state's file is broken; it was renamed, and a new one begun")
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    return connection


@contextmanager
def exclusive(directory: Path) -> Iterator[bool]:
    """Yield whether this process now has the job's lock; the kernel frees it when the process ends, however it ends.

    Cryo does not inherit the lock's descriptor.
    """
    descriptor = _open_lock(directory)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, WHOLE_FILE)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Return whether a process has the job's lock, without taking it: a sync that starts meanwhile must not fail."""
    descriptor = _open_lock(directory)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, WHOLE_FILE)
        return bool(FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _open_lock(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
