"""Finds variables that look like ours but have a name that no command reads, such as a misspelt cap."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

OF_OTHER_COMMANDS = (
    "TRACE_WORKER_TOKEN",
    "TRACE_WORKER_CONCURRENCY",
    "TRACE_SHUTDOWN_GRACE_SECONDS",
    "TRACE_HEALTH_ADDR",
    "TRACE_ORG_ID",
)
"""Variables of the service and of jobs, which may be set for every command."""
POOL_URL = re.compile(r"TRACE_RPC_POOL_[A-Z0-9_]+_URL")
SIMILAR = 0.75
"""How similar a name with MAX_ must be to a known variable; other programs have variables with this prefix too."""


def unknown_variables(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return each unknown variable that looks like one of this program, with the message for it."""
    known = {*known, *OF_OTHER_COMMANDS}
    return {
        name: _message(name, known)
        for name in sorted(names)
        if name not in known and not POOL_URL.fullmatch(name) and _looks_like_ours(name, known)
    }


def _looks_like_ours(name: str, known: Collection[str]) -> bool:
    if name.startswith("MAX_"):
        return "PARQUET" in name or bool(get_close_matches(name, known, n=1, cutoff=SIMILAR))
    return name.startswith("TRACE_")


def _message(name: str, known: Collection[str]) -> str:
    if name.startswith("TRACE_RPC_POOL_"):
        return "is not a variable of cryo-ingest: the URL of the pool `my-pool` is in TRACE_RPC_POOL_MY_POOL_URL"
    similar = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"is not a variable of cryo-ingest: did you mean {similar[0]}? Otherwise unset it"
