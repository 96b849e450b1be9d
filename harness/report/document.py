"""The report as JSON, for programs. harness/schemas/report.json is its schema; every written file is held to it."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import schemas
from harness.checks.verdict import Verdict
from harness.report.result import Cell, Ran, Result
from harness.resources import clauses

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Store(_Part):
    """What the worker wrote to, and what that can't show."""

    name: str
    limitations: tuple[str, ...]


class Clause(_Part):
    """One clause over all scenarios; `source` is S, W or +; `reason` says why it is neither PASS nor FAIL."""

    id: str
    source: Literal["S", "W", "+"]
    text: str
    verdict: Verdict
    reason: str
    scenarios: dict[str, Verdict] = Field(description="what each scenario says of it")


class Violation(_Part):
    """A broken clause: what was expected, what was seen, and the numbers of the history's events that show it."""

    clause: str
    expected: str
    seen: str
    events: tuple[int, ...]
    known: str | None = Field(description="the note of the list of known failures, where it is on it")


class Scenario(_Part):
    """One scenario; `history` is the saved file, `replay` the command that runs it again."""

    name: str
    title: str
    verdict: Verdict
    seconds: float
    events: int
    history: str | None
    replay: str
    clauses: dict[str, Verdict]
    violations: tuple[Violation, ...]
    errors: tuple[str, ...]


class Document(_Part):
    """The whole report."""

    format: Literal["cryo-harness report"] = "cryo-harness report"
    version: Literal[1] = 1
    harness: str = Field(description="the version of the harness")
    target: str
    profile: str
    store: Store
    began_at: datetime | None
    seconds: float
    verdict: Verdict
    headline: str
    counts: dict[Verdict, int]
    complaints: tuple[str, ...]
    excluded: dict[str, str] = Field(description="clauses left out, with the reason")
    skipped: dict[str, str] = Field(description="scenarios left out, with the reason")
    clauses: tuple[Clause, ...]
    scenarios: tuple[Scenario, ...]


def schema() -> dict[str, Any]:
    """Return the JSON Schema."""
    return {"$id": f"report-{VERSION}", **Document.model_json_schema(mode="serialization")}


def document(result: Result) -> Document:
    """Return a result as its document."""
    cells = {ran.name: ran.cells() for ran in result.scenarios}
    return Document(
        harness=version("cryo-ingest"),
        target=result.target,
        profile=result.profile,
        store=Store(name=result.store, limitations=result.limitations),
        began_at=result.began_at,
        seconds=round(result.seconds, 3),
        verdict=result.verdict,
        headline=result.headline,
        counts=result.counts(),
        complaints=result.complaints,
        excluded=dict(result.excluded),
        skipped=dict(result.skipped),
        clauses=tuple(_clause(result, clause, verdict, cells) for clause, verdict in result.verdicts().items()),
        scenarios=tuple(_scenario(result, ran, cells[ran.name]) for ran in result.scenarios),
    )


def _clause(result: Result, clause: str, verdict: Verdict, cells: dict[str, dict[str, Cell]]) -> Clause:
    known = clauses()[clause]
    return Clause.model_validate(
        {
            "id": clause,
            "source": known["source"],
            "text": known["text"],
            "verdict": verdict,
            "reason": result.reason(clause),
            "scenarios": {name: found[clause].verdict for name, found in cells.items() if clause in found},
        }
    )


def _scenario(result: Result, ran: Ran, cells: dict[str, Cell]) -> Scenario:
    return Scenario(
        name=ran.name,
        title=ran.title,
        verdict=ran.verdict,
        seconds=round(ran.seconds, 3),
        events=len(ran.events),
        history=ran.history or None,
        replay=result.replay(ran),
        clauses={clause: cell.verdict for clause, cell in cells.items()},
        violations=tuple(
            Violation(
                clause=one.clause,
                expected=one.expected,
                seen=one.seen,
                events=one.events,
                known=result.known.get(f"{one.clause}/{ran.name}"),
            )
            for one in ran.judged.violations
        ),
        errors=ran.judged.errors,
    )


def render(result: Result) -> str:
    """Return the JSON text.

    Raises:
        harness.schemas.SchemaMismatch: it would not be what the schema says.
    """
    found = document(result)
    schemas.check("report", found.model_dump(mode="json"))
    return found.model_dump_json(indent=2) + "\n"
