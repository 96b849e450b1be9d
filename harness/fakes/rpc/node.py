"""One node of a pool: what it says of the chain. Faults are `faults.py`'s, the wire is `wire.py`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.schemas import check

if TYPE_CHECKING:
    from harness.world.chain import Chain

DEFAULT_HEAD = 200_000_000
FINALITY_BLOCKS = 64
"""How far `finalized` lies behind the head: two epochs of Ethereum's."""


class RpcError(Exception):
    """A JSON-RPC error object, as an answer."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Node:
    """One node, and how it differs from the others of its pool.

    Attributes:
        chain: what it serves.
        head: the highest block that it tells of.
        name: what the journal calls it.
        finalized: the highest final one; None for `FINALITY_BLOCKS` behind the head.
        lag: blocks by which it is behind the head that it tells of: calls for them find nothing.
        latency_seconds: how long it thinks before each answer.
        key: a secret that must be somewhere in the request's path, query or user info; None lets anybody in.
        chain_id: what it claims, where that is not the chain's own.
        max_log_range: blocks that one `eth_getLogs` may span; None for any number.
        pruned_below: logs and receipts of blocks below this one are gone; headers are not.
        pruned_receipts: what `eth_getBlockReceipts` answers there: `null`, `empty` or `error`.
        unknown_hash_fails: whether `eth_getLogs` by an unknown block hash is an error (geth) or an empty answer.
        logs_past_head_fail: whether `eth_getLogs` past the head is an error (anvil) or an empty answer (geth).
        script: what `harness_script` tells fake Cryo besides the chain; None for a node without that method.
    """

    chain: Chain
    head: int = DEFAULT_HEAD
    name: str = "main"
    finalized: int | None = None
    lag: int = 0
    latency_seconds: float = 0.0
    key: str | None = field(default=None, repr=False)
    chain_id: int | None = None
    max_log_range: int | None = None
    pruned_below: int = 0
    pruned_receipts: Literal["null", "empty", "error"] = "null"
    unknown_hash_fails: bool = True
    logs_past_head_fail: bool = True
    script: dict[str, Any] | None = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a script that fake Cryo could not follow.

        Raises:
            SchemaMismatch: `harness_script.json` says otherwise; every place is named.
        """
        if self.script:
            check("harness_script", self.script)

    @property
    def known(self) -> int:
        """The highest block that it can show."""
        return self.head - self.lag

    def number(self, tag: object) -> int:
        """Return the block number of a tag or of a quantity.

        Raises:
            RpcError: it is neither, or a tag that this node does not know.
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
