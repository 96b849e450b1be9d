"""One node of a pool: its view of the chain. `harness.faults` has the faults, `wire.py` the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.schemas import check

if TYPE_CHECKING:
    from harness.world.chain import Chain

DEFAULT_HEAD = 200_000_000
FINALITY_BLOCKS = 64
"""How far `finalized` is behind the head: two epochs of Ethereum."""


class RpcError(Exception):
    """A JSON-RPC error object."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How a node speaks HTTP.

    Attributes:
        gzip: whether it compresses its answers for clients that accept that.
        keep_alive: False means HTTP/1.0, with a connection for each request.
        requests_a_connection: it closes a connection after this number of requests; None means never.
    """

    gzip: bool = False
    keep_alive: bool = True
    requests_a_connection: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One node, and how it differs from the other nodes of its pool.

    Attributes:
        chain: the chain that it serves.
        head: the highest block that it reports.
        name: its name in the journal.
        finalized: the highest final block; None means `FINALITY_BLOCKS` behind the head.
        lag: the number of blocks below its reported head that it does not have yet.
        latency_seconds: the delay before each response; nodes that differ only in this are equal.
        key: a secret that must be in the request's path, query or user info; None requires none.
        chain_id: the chain id that it reports, if it differs from the chain's.
        max_log_range: the largest number of blocks in one `eth_getLogs`; None means any number.
        pruned_below: it has no logs and receipts of blocks below this one; it has their headers.
        pruned_receipts: the result of `eth_getBlockReceipts` for such a block: `null`, `empty` or `error`.
        unknown_hash_fails: whether `eth_getLogs` with an unknown block hash is an error (geth) or an empty result.
        logs_past_head_fail: whether `eth_getLogs` past the head is an error (anvil) or an empty result (geth).
        http: how it speaks HTTP; nodes that differ only in this are equal.
        script: the faults that `harness_script` returns to fake Cryo; None means that the node lacks that method.
    """

    chain: Chain
    head: int = DEFAULT_HEAD
    name: str = "main"
    finalized: int | None = None
    lag: int = 0
    latency_seconds: float = field(default=0.0, compare=False)
    key: str | None = field(default=None, repr=False)
    chain_id: int | None = None
    max_log_range: int | None = None
    pruned_below: int = 0
    pruned_receipts: Literal["null", "empty", "error"] = "null"
    unknown_hash_fails: bool = True
    logs_past_head_fail: bool = True
    script: dict[str, Any] | None = field(default_factory=dict)
    http: HttpOptions = field(default=HttpOptions(), compare=False)

    def __post_init__(self) -> None:
        """Check the script of faults.

        Raises:
            SchemaMismatch: it does not match `harness_script.json`; the message names every place.
        """
        if self.script:
            check("harness_script", self.script)

    @property
    def known(self) -> int:
        """The highest block that it has."""
        return self.head - self.lag

    def number(self, tag: object) -> int:
        """Return the block number of a tag or of a quantity.

        Raises:
            RpcError: it is neither, or this node does not support the tag.
        """
        if isinstance(tag, str) and tag.startswith("0x"):
            return _quantity(tag)
        if tag in {"finalized", "safe"} and self.chain.quirks.no_finalized_tag:
            raise RpcError(-32602, f"invalid argument 0: hex string without 0x prefix: {tag}")
        final = max(0, self.head - FINALITY_BLOCKS) if self.finalized is None else self.finalized
        tags = {"latest": self.known, "pending": self.known, "earliest": 0, "finalized": final, "safe": final}
        if isinstance(tag, str) and tag in tags:
            return tags[tag]
        raise RpcError(-32602, f"invalid argument 0: json: cannot unmarshal {tag!r} into a block number")


def _quantity(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise RpcError(-32602, f"invalid argument 0: invalid hex string {text!r}") from None
