"""How a node is asked about the blocks of a file: headers, then, for what is accused or for all, receipts and logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.prove.answers import BadAnswer, parse_header, parse_logs, parse_receipts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.ports import Node
    from cryo_ingest.prove.answers import Header, Log, Receipt
    from cryo_ingest.prove.ledgers import Ledger

METHOD_NOT_FOUND = -32601
RECEIPTS_WINDOW_BLOCKS = 25
"""Blocks whose receipts are held at once: full blocks have megabytes of them."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """A contradiction between rows and evidence; one of `screen` has to be settled before it counts."""

    evidence: str
    screen: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a node's answers say of one block's rows: the problem, or None, with the header that it gave."""

    header: Header | None
    problem: str | None = None


@dataclass(slots=True)
class Evidence:
    """Asks one node about one file; `settled` counts the screens and first answers that better evidence overruled."""

    node: Node
    receipts_for_all: bool
    headers: dict[int, Header] = field(default_factory=dict)
    settled: int = 0
    example: str | None = None
    _no_block_receipts: bool = False

    async def judge(self, ledger: Ledger, numbers: list[int]) -> dict[int, Verdict]:
        """Return a verdict on each block.

        Raises:
            NodeUnavailable: some question got no answer.
        """
        verdicts: dict[int, Verdict] = {}
        to_settle: dict[int, tuple[Header, str | None]] = {}
        calls = [Call("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        for number, answer in zip(numbers, await self.node.ask(calls), strict=True):
            try:
                header = parse_header(answer, number)
            except BadAnswer as problem:
                verdicts[number] = Verdict(None, str(problem))
                continue
            self.headers[number] = header
            accusation = self._unlinked(header) or ledger.accuse(header)
            if accusation is not None and accusation.screen:
                to_settle[number] = (header, accusation.evidence)
            elif accusation is not None:
                verdicts[number] = Verdict(header, accusation.evidence)
            elif self.receipts_for_all:
                to_settle[number] = (header, None)
            else:
                verdicts[number] = Verdict(header)
        waiting = list(to_settle.items())
        for start in range(0, len(waiting), RECEIPTS_WINDOW_BLOCKS):
            window = dict(waiting[start : start + RECEIPTS_WINDOW_BLOCKS])
            verdicts |= await self._settle(ledger, window)
        return verdicts

    def _unlinked(self, header: Header) -> Accusation | None:
        """Notice a node that answers from two chains at once."""
        below = self.headers.get(header.number - 1)
        if below is None or below.hash == header.parent_hash:
            return None
        return Accusation(f"the node's own block {header.number - 1} is not its parent")

    async def _settle(self, ledger: Ledger, window: dict[int, tuple[Header, str | None]]) -> dict[int, Verdict]:
        """Settle accused blocks, at level `receipts` all blocks, by receipts, else by logs by the block's hash."""
        verdicts: dict[int, Verdict] = {}
        by_logs: dict[int, tuple[Header, str | None]] = {}
        receipts = await self._receipts([header for header, _ in window.values()])
        for number, (header, screen) in window.items():
            found = receipts[number]
            if isinstance(found, str):
                if self.receipts_for_all:
                    verdicts[number] = Verdict(header, f"its receipts can't be had ({found})")
                else:
                    by_logs[number] = (header, screen)
                continue
            logs = (entry for receipt in found.values() for entry in receipt.logs)
            verdicts[number] = self._verdict(ledger, header, logs, found, screen)
        if by_logs:
            calls = [Call("eth_getLogs", ({"blockHash": f"0x{header.hash.hex()}"},)) for header, _ in by_logs.values()]
            for (number, (header, screen)), answer in zip(by_logs.items(), await self.node.ask(calls), strict=True):
                try:
                    listed = parse_logs(answer, header)
                except BadAnswer as problem:
                    verdicts[number] = Verdict(header, f"{screen}, and its logs can't be had ({problem})")
                else:
                    verdicts[number] = self._verdict(ledger, header, listed, None, screen)
        return verdicts

    def _verdict(
        self,
        ledger: Ledger,
        header: Header,
        logs: Iterable[Log],
        receipts: dict[bytes, Receipt] | None,
        screen: str | None,
    ) -> Verdict:
        problem = ledger.settle(header, logs, receipts)
        by = "eth_getLogs" if receipts is None else "its receipts"
        if problem is None and screen is not None:
            self.settled += 1
            self.example = self.example or f"block {header.number}: {screen}, settled by {by}"
        return Verdict(header, problem and f"{problem} ({by}{f'; {screen}' if screen else ''})")

    async def _receipts(self, headers: list[Header]) -> dict[int, dict[bytes, Receipt] | str]:
        """Return each block's receipts, or in words why there are none."""
        found: dict[int, dict[bytes, Receipt] | str] = {}
        missing = headers
        if not self._no_block_receipts:
            calls = [Call("eth_getBlockReceipts", (hex(header.number),)) for header in headers]
            missing = []
            for header, answer in zip(headers, await self.node.ask(calls), strict=True):
                self._no_block_receipts |= isinstance(answer, NodeError) and answer.code == METHOD_NOT_FOUND
                try:
                    found[header.number] = parse_receipts(answer, header)
                except BadAnswer as problem:
                    found[header.number] = str(problem)
                    missing.append(header)
        if missing and self.receipts_for_all:
            found |= await self._receipts_one_by_one(missing)
        return {header.number: found.get(header.number, "eth_getBlockReceipts is not there") for header in headers}

    async def _receipts_one_by_one(self, headers: list[Header]) -> dict[int, dict[bytes, Receipt] | str]:
        """Ask for each transaction's receipt, as Cryo does where a node has no receipts by block."""
        places = [(header, each) for header in headers for each in header.transactions]
        calls = [Call("eth_getTransactionReceipt", (f"0x{each.hex()}",)) for _, each in places]
        answers: dict[int, list[object]] = {header.number: [] for header in headers}
        for (header, _), answer in zip(places, await self.node.ask(calls), strict=True):
            answers[header.number].append(answer)
        found: dict[int, dict[bytes, Receipt] | str] = {}
        for header in headers:
            try:
                found[header.number] = parse_receipts(answers[header.number], header)
            except BadAnswer as problem:
                found[header.number] = str(problem)
        return found
